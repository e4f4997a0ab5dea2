import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from analognas import report
from analognas.hardware.cost import cost
from analognas.params import Params
from analognas.params.file import override
from analognas.search_spaces import Architecture
from analognas.versioning import Versioning
from analognas.workspace import Paths

ROW = {"params": 1234, "tiles": 7, "acc_digital": 98.0, "avm": 1.0, "avm_std": 0.5}
ROW |= {f"acc_{label}{end}": 90.0 for label in ("1s", "1h", "1d", "30d") for end in ("", "_std")}


def found(low: float, high: float, tau: float | None = 0.5) -> dict:
    interval = {"value": (low + high) / 2, "low": low, "high": high}
    return {
        "dataset": "digits",
        "data": None,
        "winner": ROW | {"id": "abc", "genes": {"M": 2}},
        "baseline": ROW,
        "difference": {"acc_1d": interval},
        "evaluator": {
            "architectures": 28,
            "targets": {"acc_1d": {"kendall_tau": {"value": tau, "low": tau, "high": tau}}},
        },
        "limits": {},
        "notes": ["A note."],
        "hardware": {"rpu_config": "pcm-hermes", "tile_size": 32, "layers": "fast", "adc_bits": 6},
        "changed": [],
    }


def text(content: dict) -> str:
    output = io.StringIO()
    Console(width=200, file=output).print(report.render(content))
    return output.getvalue()


def test_as_markdown_it_says_the_same():
    lines = report.markdown(found(0.1, 2)).splitlines()
    assert lines[0] == "## digits: test accuracy while the chip drifts"
    assert lines[2:5] == [
        "|  | winner | plain residual network |",
        "| --- | ---: | ---: |",
        "| parameters | 1,234 | 1,234 |",
    ]
    assert "| after 1 day, % | 90.00 ± 90.00 | 90.00 ± 90.00 |" in lines
    said = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    assert said == list(report.told(found(0.1, 2)).lines)
    assert "Winner abc: M 2" in said
    last = report.markdown(found(0.1, 2) | {"use": "analognas predict FILE..."}).splitlines()[-1]
    assert last == "- The winner is in `data/winner` (`card.md` there): `analognas predict FILE...`"


@pytest.mark.parametrize(("low", "high", "word"), [(-1, 2, True), (0.1, 2, False), (-3, -1, False)])
def test_a_difference_whose_interval_holds_zero_is_called_inconclusive(low, high, word):
    assert ("inconclusive" in text(found(low, high))) is word


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1, 2, "The winner is not shown to be better"), (-3, -1, "The plain network is the better one"), (0.1, 2, "")],
)
def test_a_winner_that_is_not_better_is_not_sold_as_one(low, high, said):
    shown = text(found(low, high))
    assert said in shown
    assert ("analognas search --true-evaluations" in shown) is bool(said)


def test_what_helps_is_said_once():
    tau = {"value": 0.3, "low": -0.1, "high": 0.6}
    doubtful = found(-1, 2) | {"evaluator": {"architectures": 28, "targets": {"acc_1d": {"kendall_tau": tau}}}}
    lines = report.told(doubtful).lines
    assert sum("not shown to" in line for line in lines) == 2
    assert sum("What helps:" in line for line in lines) == 1


@pytest.mark.parametrize(("params", "said"), [(1300, False), (1111, False), (1400, True), (1100, True)])
def test_a_plain_network_of_another_size_is_called_so(params: int, said: bool):
    shown = text(found(0.1, 1) | {"baseline": ROW | {"params": params}})
    assert ("parameters than the winner" in shown) is said


@pytest.mark.parametrize("low", [-0.1, 0.0])
def test_an_evaluator_that_does_not_rank_is_called_so(low: float):
    tau = {"value": 0.3, "low": low, "high": 0.6}
    weak = {"architectures": 28, "targets": {"acc_1d": {"kendall_tau": tau}}}
    assert "not shown to rank better than chance" in text(found(0.1, 1) | {"evaluator": weak})
    assert "better than chance" not in text(found(0.1, 1))


def test_what_is_known_of_ones_own_data_is_told():
    alike = {
        "in_two_parts": {"count": 3, "examples": []},
        "in_two_classes": {"count": 0, "examples": []},
        "repeated": 0,
    }
    reading = {
        "read": {".png": 60}, "passed_over": {".heic": 2}, "leftovers": {}, "sizes": "all are 8x8", "ranges": {},
        "speakers": {}, "given": {},
    }  # fmt: skip
    data = {
        "levels": {},
        "alike": alike,
        "notes": ["look at it"],
        "reading": reading,
        "split_off": ["test"],
    }
    shown = text(found(0.1, 1) | {"data": data})
    for line in ("Data:", "  read           60 .png", "  passed over    2 .heic", "3 in two parts", "look at it"):
        assert line in shown
    assert "Data:" not in text(found(0.1, 1) | {"data": {key: data[key] for key in ("levels", "alike", "notes")}})


def test_limits_are_said_with_their_figures_and_what_helps():
    held = {"limit": 5.0, "value": 2.0, "low": 1.0, "high": 3.0, "status": "held"}
    shown = text(found(0.1, 1) | {"limits": {"status": "held", "T_AVM": held}})
    assert "Limit search.T_AVM (at most 5 points lost in a month) is held: 2.00 points" in shown
    assert "What helps" not in shown
    shown = text(found(0.1, 1) | {"limits": {"status": "broken", "T_AVM": held | {"limit": 0.5, "status": "broken"}}})
    assert "is broken" in shown
    assert "A limit that is not held asks for more than was found. What helps" in shown


def test_what_an_inference_costs_is_told_with_the_chip_it_is_of():
    costs = {"tiles": 70, "utilisation": 0.25, "latency_us": 12.345, "interval_us": 3.0, "energy_uj": 1234.5}
    chip = {"name": "some-chip", "note": "measured", "source": "a paper", "tiles": 64}
    content = found(0.1, 1) | {"cost": {"chip": chip, "winner": costs, "baseline": costs | {"energy_uj": 7.0}}}
    rows = {row[0]: row[1:] for row in report.told(content).rows}
    assert rows["of their weights in use, %"] == ("25.0", "25.0")
    assert rows["latency, us"] == ("12.35", "12.35")
    assert rows["energy, uJ"] == ("1,234", "7")
    shown = text(content)
    assert "those of the tiles of some-chip (measured); pipelined, there is an answer every 3 us" in shown
    assert "some-chip has 64 tiles: the winner needs more than one such chip." in shown
    alone = report.told(found(0.1, 1) | {"cost": {"chip": chip | {"tiles": None}, "winner": costs}})
    assert ("energy, uJ", "1,234", "") in alone.rows
    assert "needs more than one" not in "".join(alone.lines)
    assert "energy, uJ" not in text(found(0.1, 1))


def test_the_costs_of_a_finished_run_follow_from_its_architecture(finished_copy: Paths):
    told = report.collect(finished_copy)
    params = Params.load(finished_copy.params)
    chip = params.cost.of(params.hardware)
    winner = Architecture.from_dict(json.loads((finished_copy.winner / "architecture.json").read_text()))
    assert told["cost"]["winner"] == cost(winner, chip)
    assert told["cost"]["winner"]["tiles"] == told["winner"]["tiles"]
    assert told["cost"]["baseline"]["tiles"] == told["baseline"]["tiles"]
    override(finished_copy.params, ["cost.constants.vector_ns=7"])
    assert report.collect(finished_copy)["cost"]["chip"]["name"].endswith("with vector_ns 7")
    override(finished_copy.params, ["cost.chip=nowhere:chip"])
    problem = text(report.collect(finished_copy))
    assert "Latency and energy cannot be told: chip 'nowhere:chip' cannot be imported" in problem


def test_everything_a_reader_needs_is_there():
    shown = text(found(0, 1))
    for part in (
        "1,234",
        "98.00",
        "90.00 ± 90.00",
        "M 2",
        "Kendall tau",
        "28 architectures",
        "A note.",
        "pcm-hermes, tiles of 32 x 32, adc_bits 6",
    ):
        assert part in shown
    other = found(0, 1)
    other["hardware"]["tile_size"] = [128, 0]
    assert "pcm-hermes, tiles of 128 x any, adc_bits 6" in text(other)


def test_figures_of_other_parameters_are_called_so(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    hardware = {"tile_size": 64, "rpu_config": "analognas-bench"}
    recorded = {
        "sample": {"hardware": hardware, "base.seed": 0, "dataset.name": "stripes", "environment.torch": "2"},
        "train": {"hardware": hardware, "characterize.source": "training"},
    }
    monkeypatch.setattr(Versioning, "find", lambda _: SimpleNamespace(stage_params=recorded.get))
    paths = workspace
    override(paths.params, ["hardware.tile_size=64"])
    assert report._changed(paths) == []
    override(paths.params, ["hardware.tile_size=32", "hardware.adc_bits=6", "base.seed=1"])
    assert report._changed(paths) == ["hardware.tile_size", "hardware.adc_bits", "base.seed"]
    recorded["train"]["hardware"] = "pcm-hermes"  # `hardware: pcm-hermes` is how a sweep may write it
    assert "hardware.rpu_config" in report._changed(paths)
    recorded["train"]["characterize"] = {"of_another_version": 1}
    assert "characterize" in report._changed(paths)
    shown = text(found(0, 1) | {"changed": ["hardware.tile_size", "base.seed"]})
    assert "These figures are older: hardware.tile_size, base.seed have changed since; `analognas run`." in shown


def test_a_tau_that_cannot_be_told_is_left_out():
    assert "Kendall" not in text(found(0, 1, tau=None))


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        (None, "mlflow ui --backend-store-uri sqlite:///mlflow.db   then http://127.0.0.1:5000/#/experiments/1"),
        (
            "sqlite:////a/b.db",
            "mlflow ui --backend-store-uri sqlite:////a/b.db   then http://127.0.0.1:5000/#/experiments/1",
        ),
        ("http://host:5000/", "http://host:5000/#/experiments/1"),
    ],
)
def test_the_page_of_the_run_in_mlflow_is_named(monkeypatch, uri: str | None, line: str):
    if uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    shown = report.where_to_look(Paths(Path("w")), tracked="experiments/1")
    assert shown[1] == f"MLflow    {line}"
    assert report.where_to_look(Paths(Path("w")))[1] == shown[1].removesuffix("/#/experiments/1")


def test_networks_of_ones_own_stand_in_columns_and_no_table_is_too_wide():
    own = [
        {"name": name, "figures": ROW | {"params": 77}, "cost": None, "sensitivity": None, "notes": [f"of {name}"],
         "curve": []}
        for name in ("first", "second")
    ]  # fmt: skip
    content = found(0.1, 2) | {"own": own}
    told = report.told(content)
    assert told.columns == ("", "winner", "plain residual network", "first (yours)", "second (yours)")
    assert told.rows[0] == ("parameters", "1,234", "1,234", "77", "77")
    assert {"first: of first", "second: of second"} <= set(told.lines)
    output = io.StringIO()
    Console(width=80, file=output).print(report.render(content))
    lines = output.getvalue().splitlines()
    for name, times in (("parameters", 2), ("first (yours)", 1), ("second (yours)", 1)):
        assert sum(name in line for line in lines) == times
