"""The examples of docs/cost.md, taken from the page and run; and its table of chips."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from analognas.hardware.chips import CHIPS, chip
from analognas.params import Params
from analognas.params.text import plain, round_trip
from analognas.search_algorithms import CostLimits

PAGE = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_examples_in_python_run(monkeypatch: pytest.MonkeyPatch):
    first, own = blocks("python")
    exec(compile(first, "docs/cost.md", "exec"), {})
    names: dict[str, object] = {}
    exec(compile(own, "docs/cost.md", "exec"), names)
    monkeypatch.setitem(sys.modules, "mychips", SimpleNamespace(**names))
    assert chip("mychips:mine").tiles == 36
    assert CostLimits({"tiles": 12}, "hermes-1-phase").limits == {"tiles": 12}


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_examples_of_parameters_are_valid(text: str):
    params = Params.validated(plain(round_trip().load(text)))
    assert params != Params()
    params.cost.of(params.hardware)


def test_the_page_names_every_chip_with_its_figures():
    named = dict(re.findall(r"^\| `([\w-]+)` \|(.*)\|$", PAGE, flags=re.MULTILINE))
    assert set(CHIPS) <= set(named)
    for name in ("analognas-projected", "hermes-1-phase", "hermes-4-phase"):
        figures = re.search(r"([\d.]+) ns, ([\d,]+) pJ", named[name])
        assert figures is not None
        assert float(figures[1]) == pytest.approx(chip(name).vector_ns, rel=1e-3)
        assert float(figures[2].replace(",", "")) == pytest.approx(chip(name).tile_pj, rel=1e-3)
    made = chip("zigzag-28nm")
    for value in (f"{made.vector_ns:.1f} ns", f"{made.row_pj:.3f} pJ a row", f"{made.column_pj:.3f} pJ a column"):
        assert value in named["zigzag-28nm"]
