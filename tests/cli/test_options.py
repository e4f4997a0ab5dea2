from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from analognas.cli.options import hours_of, hours_option, json_option, override_options, section_values
from analognas.errors import ParamsError


@click.command()
@override_options
@hours_option
@json_option
def told(**given: Any) -> None:
    click.echo(json.dumps(given))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(told, list(arguments))


def test_quick_stands_for_hours_under_three_minutes():
    assert hours_of(None, quick=False) is None
    assert hours_of(2.0, quick=False) == 2.0
    assert 60 * (hours_of(None, quick=True) or 9) < 3
    with pytest.raises(click.UsageError, match="give one of them"):
        hours_of(1.0, quick=True)


def test_what_is_not_given_sets_nothing():
    given = json.loads(call().stdout)
    assert given == {
        "assignments": [], "dataset": None, "path": None, "max_params": None, "hours": None, "as_json": False,
    }  # fmt: skip
    assert section_values((), None, None, None) == {}


def test_options_stand_for_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    given = call("--set", "search.k=2", "--set", "base.seed=7", "--max-params", "50k", "--dataset", "kws", "--json")
    found = json.loads(given.stdout)
    assert (found["as_json"], found["assignments"]) == (True, ["search.k=2", "base.seed=7"])
    assert section_values(found["assignments"], found["dataset"], "set", found["max_params"]) == {
        "search.k": 2, "base.seed": 7, "dataset.name": "kws", "dataset.path": str(tmp_path.resolve() / "set"),
        "space.max_params": 50_000,
    }  # fmt: skip


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert section_values((), None, "~/set", None) == {"dataset.path": str(tmp_path.resolve() / "set")}


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize(("place", "option"), list(enumerate(("--dataset", "--path", "--max-params"))))
def test_an_empty_value_is_refused_by_the_name_of_its_option(place: int, option: str, value: str):
    given: list[str | None] = [None, None, None]
    given[place] = value
    with pytest.raises(ParamsError, match=f"^{option} is empty: give a value, or leave it out.$"):
        section_values((), *given)


def test_an_option_and_an_assignment_may_not_disagree():
    assert section_values(["dataset.name=kws"], "kws", None, None) == {"dataset.name": "kws"}
    with pytest.raises(ParamsError, match=r"--dataset gives dataset\.name as 'vww', and before that as 'kws'"):
        section_values(["dataset.name=kws"], "vww", None, None)
    with pytest.raises(ParamsError, match=r"--max-params gives space\.max_params as 9000, and before that as 2000"):
        section_values(["space.max_params=2k"], None, None, "9k")


@pytest.mark.parametrize(
    ("hours", "problem"),
    [("nan", "nan is no number of hours"), ("inf", "inf is no number of hours"), ("0", "x>0"), ("-1", "x>0")],
)
def test_hours_are_a_positive_number(hours: str, problem: str):
    refused = call("--hours", hours)
    assert refused.exit_code == 2
    assert problem in refused.stderr
    assert json.loads(call("--hours", "0.5").stdout)["hours"] == 0.5
