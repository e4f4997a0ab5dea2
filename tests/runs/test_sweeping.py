from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analognas.errors import ParamsError, StageError
from analognas.files import write_sealed
from analognas.results import ResultStore
from analognas.runs import sweeping as module
from analognas.runs.comparing import half_of
from analognas.runs.sweeping import Expected, asked_values, expected, sweep
from analognas.workspace import Paths


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (["hardware.adc_bits=5,6,8"], {"hardware.adc_bits": [5, 6, 8]}),
        (["search.k=1,2.5", "space.max_params=2k,3k"], {"search.k": [1, 2.5], "space.max_params": [2000, 3000]}),
        (["hardware.tile_size=64,[128,64]"], {"hardware.tile_size": [64, [128, 64]]}),
        (["hardware.adc_bits=null,6"], {"hardware.adc_bits": [None, 6]}),
    ],
)
def test_values_are_parted_at_commas(given: list[str], values: dict[str, list[Any]]):
    assert asked_values(given) == values


@pytest.mark.parametrize(
    "given",
    [
        ["hardware.adc_bits=5"], ["hardware.adc_bits=5,5"], ["hardware.adc_bitz=5,6"], ["search.k=1,2", "search.k=3,4"],
        ["search.k=1,2", "base.seed=1,2", "sample.size=9,10"], [], ["search.k"],
    ],
)  # fmt: skip
def test_what_is_no_sweep_is_refused(given: list[str]):
    with pytest.raises(ParamsError):
        asked_values(given)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, histories: Any) -> list[tuple[str, int | None]]:
    """Let stages be made up; return which ran with how many bits."""
    done: list[tuple[str, int | None]] = []

    def run(stage: str, params: Any, paths: Paths, *_: Any) -> None:
        bits = params.hardware.adc_bits
        done.append((stage, bits))
        if bits == 5 and stage == "fit":
            raise StageError("Nothing can be fitted.")
        if stage == "characterize":
            (ResultStore.of(paths.home).root / f"of-{bits}").touch()
        if stage == "train":
            write_sealed(paths.metrics("train"), histories.figures(acc_1d=90.0 + bits))

    monkeypatch.setattr(module, "run_stage", run)
    return done


def all_files(paths: Paths) -> dict[Path, bytes]:
    apart = {".analognas", "results"}
    names = (path for path in paths.root.rglob("*") if path.is_file() and not apart & set(path.parts))
    return {path: path.read_bytes() for path in names}


def test_each_value_runs_beside_the_workspace_and_shares_its_store(workspace: Paths, ran: list[Any], tmp_path: Path):
    before = all_files(workspace)
    done = sweep(workspace, {"hardware.adc_bits": [6, 8]}, tmp_path / "plot.svg")
    assert all_files(workspace) == before
    assert [point.to_dict()["winner"]["acc_1d"] for point in done.points] == [96.0, 98.0]
    assert [point.stored for point in done.points] == [False, False]
    assert sorted(path.name for path in ResultStore.of(workspace.root).root.glob("of-*")) == ["of-6", "of-8"]
    assert done.plot is not None
    assert b"<svg" in done.plot.read_bytes()
    assert [stage for stage, bits in ran if bits == 6] == ["sample", "characterize", "fit", "search", "train"]


def test_a_point_runs_again_only_if_what_decides_it_has_changed(workspace: Paths, ran: list[Any]):
    sweep(workspace, {"hardware.adc_bits": [6, 8]})
    ran.clear()
    done = sweep(workspace, {"hardware.adc_bits": [6, 8, 7]})
    assert [point.stored for point in done.points] == [True, True, False]
    assert {bits for _, bits in ran} == {7}
    (workspace.rounds / "001-000001.json").write_text("{}")
    assert not any(point.stored for point in sweep(workspace, {"hardware.adc_bits": [6, 8]}).points)


def test_one_that_fails_says_why_and_the_others_go_on(workspace: Paths, ran: list[Any]):
    done = sweep(workspace, {"hardware.adc_bits": [5, 6]})
    assert [point.problem for point in done.points] == ["Nothing can be fitted.", None]
    assert done.points[0].to_dict()["winner"] is None


def test_bad_values_are_refused_before_anything_runs(workspace: Paths, ran: list[Any]):
    with pytest.raises(ParamsError):
        sweep(workspace, {"hardware.adc_bits": [6, 1]})
    assert ran == []


def test_two_keys_are_all_combinations_and_words_can_be_drawn(workspace: Paths, ran: list[Any]):
    values = {"hardware.layers": ["fast", "aihwkit"], "hardware.adc_bits": [6, 7]}
    done = sweep(workspace, values)
    assert [tuple(point.values.values()) for point in done.points] == [
        ("fast", 6), ("fast", 7), ("aihwkit", 6), ("aihwkit", 7),
    ]  # fmt: skip
    assert done.plot is not None
    assert done.plot.read_bytes().startswith(b"\x89PNG")


def test_intervals_are_those_of_a_comparison(workspace: Paths, ran: list[Any], histories: Any):
    (point, _) = sweep(workspace, {"hardware.adc_bits": [6, 8]}).points
    assert point.dataset is not None
    assert point.half("acc_1d") == half_of(histories.figures(acc_1d=96.0), point.dataset, "acc_1d")


def test_what_is_to_run_is_known_beforehand(workspace: Paths, ran: list[Any], monkeypatch: pytest.MonkeyPatch):
    asked: list[list[int | None]] = []

    def seconds(_: Paths, points: list[Any], *__: Any) -> float:
        asked.append([params.hardware.adc_bits for params in points])
        return 300.0 * len(points)

    monkeypatch.setattr(module, "points_seconds", seconds)
    values = {"hardware.adc_bits": [6, 7, 8]}
    sweep(workspace, {"hardware.adc_bits": [6]})
    before = all_files(workspace)
    assert expected(workspace, values) == Expected(3, 1, 600.0)
    assert asked == [[7, 8]]
    assert all_files(workspace) == before
    assert "2 of 3 points are to run: about 10 min" in str(expected(workspace, values))
    sweep(workspace, values)
    asked.clear()
    assert expected(workspace, values).to_dict() == {"points": 3, "stored": 3, "seconds": 0}
    assert asked == []
    with pytest.raises(ParamsError):
        expected(workspace, {"hardware.adc_bits": [1, 6]})
    assert "nothing is trained" in str(Expected(3, 1, None))
