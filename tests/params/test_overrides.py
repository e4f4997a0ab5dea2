import pytest

from analognas.errors import ParamsError
from analognas.params import Params
from analognas.params.file import override
from analognas.params.overrides import add, parse
from analognas.params.text import load_document
from analognas.setup.template import source


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("search.population_size=40", 40),
        ("search.k=2.5", 2.5),
        ("search.strict=true", True),
        ("search.T_AVM=null", None),
        ("space.max_params=50k", 50_000),
        ("characterize.times=[1, 86400, 2592000]", [1, 86400, 2592000]),
        ("hardware.tile_size=[128, 64]", [128, 64]),
        ("space.ranges={M: [1, 2]}", {"M": [1, 2]}),
        (" search.k = 2 ", 2),
    ],
)
def test_values_are_those_of_yaml(assignment: str, value: object):
    assert list(parse([assignment]).values()) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Run #3", "Run #3"), ("2026-01-01", "2026-01-01"), ("08", "08"), ("1e3", "1e3"), ("yes", "yes"),
        ("[draft]", "[draft]"), ("a: b", "a: b"), ('"quoted #1"', "quoted #1"), ("'null'", "null"), ("null", None),
        ("~", None),
    ],
)  # fmt: skip
def test_text_stays_text_in_the_file_too(tmp_path, text: str, value: str | None):
    path = tmp_path / "params.yaml"
    path.write_text((source() / "params.yaml").read_text())
    assert override(path, [f"run.experiment={text}"]).run.experiment == value
    assert Params.load(path).run.experiment == value
    assert load_document(path)["run"]["experiment"] == value


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["search.k"], "write it as section.key=value"),
        (["k=3"], "write it as section.key=value"),
        (["search.nothing=3"], "unknown key search.nothing; did you mean search."),
        (["search.T_AVM="], "--set search.T_AVM= has no value: give one, or null where there may be none."),
        (["search.T_AVM=  "], "has no value"),
        (["search.k=2", "search.k=3"], "--set gives search.k as 3, and before that as 2: give it once."),
    ],
)
def test_what_says_nothing_or_two_things_is_refused(assignments: list[str], message: str):
    with pytest.raises(ParamsError) as caught:
        parse(assignments)
    assert message in str(caught.value)


def test_the_same_value_twice_is_no_contradiction():
    assert parse(["search.k=2", "search.k=2"]) == {"search.k": 2}
    values = {"dataset.name": "kws"}
    with pytest.raises(ParamsError, match=r"--dataset gives dataset\.name as 'vww', and before that as 'kws'"):
        add(values, "dataset.name", "vww", "--dataset")
