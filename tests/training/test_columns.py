import pytest

from analognas.errors import ParamsError
from analognas.training.columns import checked_seconds, seconds_of, time_label, time_name


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "0s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "60s"),
        (3600, "1h"),
        (86400, "1d"),
        (604800, "7d"),
        (2592000, "30d"),
    ],
)
def test_times_have_names(seconds: float, label: str):
    assert time_label(seconds) == label


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(1, "1 s"), (60, "1 min"), (3600.0, "1 h"), (86400, "1 day"), (2592000, "30 days"), (7, "7 s")],
)
def test_people_read_times_in_words(seconds: float, name: str):
    assert time_name(seconds) == name


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("10min", 600.0), (" 1 h ", 3600.0), ("1d", 86_400.0), ("30d", 2_592_000.0), ("0.5H", 1800.0),
     ("2w", 1_209_600.0)],
)  # fmt: skip
def test_a_time_is_read_with_its_unit(text: str, seconds: float):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["86400", "1m", "d", "", "-1d", "0s", "1 month", "nand", "1e3s", "9" * 400 + "d"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ParamsError, match="is no time after programming: write 1s, 10min, 1h, 1d or 30d"):
        seconds_of(text)


def test_seconds_are_positive_and_finite():
    assert checked_seconds(2) == 2.0
    for seconds in (0, -3.0, float("nan"), float("inf"), True):
        with pytest.raises(ParamsError):
            checked_seconds(seconds)
