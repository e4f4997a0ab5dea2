import pytest

from analognas.params import Params, parse_count
from analognas.params.values import known_limits, known_objectives


@pytest.mark.parametrize(
    ("given", "count"), [("50k", 50_000), ("1.5M", 1_500_000), (" 2 K", 2_000), (7, 7), ("x", "x")]
)
def test_counts_may_be_written_short(given, count):
    assert parse_count(given) == count


@pytest.mark.parametrize(
    "address", ["tcp://10.0.0.5:8786", "host:8786", "ray://host:10001", "tls://[::1]:8786", "auto"]
)
def test_an_address_names_host_and_port(address: str):
    assert Params.validated({"run": {"runner": "dask", "address": address}}).run.address == address


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        (known_limits, {"tile": 3.0}, "there is no limit on tile; did you mean 'tiles'?"),
        (known_limits, {"tiles": 0.0}, "the limit on tiles is 0, and must be above 0"),
        (known_objectives, ("acc_1d", "energy"), "there is no objective energy; did you mean 'energy_uj'?"),
        (known_objectives, ("avm", "avm"), "give two or more of acc_1d"),
        (known_objectives, ("avm",), "give two or more of acc_1d"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(check, given, said: str):
    with pytest.raises(ValueError, match=said):
        check(given)


def test_what_there_is_is_taken():
    assert known_limits({"tiles": 3.0}) == {"tiles": 3.0}
    assert known_objectives(("acc_1d", "energy_uj")) == ("acc_1d", "energy_uj")
    assert known_objectives(None) is None
