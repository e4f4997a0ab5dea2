from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import InputError
from analognas.params import Params
from analognas.params.overrides import parse
from analognas.results import ResultStore
from analognas.setup import planning, run_time
from analognas.setup.planning import CACHED, DEPENDS, RUNS, plan, points_seconds
from analognas.setup.probe import Speed
from analognas.setup.run_time import Machine
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.versioning import Versioning
from analognas.workspace import Paths

MACHINE = Machine(Speed(1e-9, 5e-9, 1e-9), workers=2, read=0.1, spent=9.0)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Time nothing; return how often it was wanted."""
    asked: list[int] = []

    def timed(*_: Any) -> Machine:
        asked.append(1)
        return MACHINE

    monkeypatch.setattr(planning, "timed", timed)
    return asked


def all_files(paths: Paths) -> dict[Path, bytes]:
    names = (path for path in paths.root.rglob("*") if path.is_file() and not {".git", ".dvc"} & set(path.parts))
    return {path: path.read_bytes() for path in names}


def test_without_versions_every_stage_runs_and_nothing_is_written(workspace: Paths):
    before = all_files(workspace)
    planned = plan(workspace, {})
    assert all_files(workspace) == before
    assert {step.what for step in planned.steps} == {RUNS}
    assert (planned.architectures, planned.stored) == (10, 0)
    assert planned.unversioned
    assert planned.seconds == pytest.approx(
        run_time.starting(MACHINE) + sum(step.seconds or 0.0 for step in planned.steps)
    )
    said = " ".join(planned.sentences())
    for part in ("Of 10 characterizations", "0 are stored", "The run would take about", "timed just now"):
        assert part in said


def test_what_is_stored_is_counted_and_takes_no_time(finished: Paths):
    planned = plan(finished, {})
    assert (planned.architectures, planned.stored) == (10, 10)
    steps = {step.stage: step for step in planned.steps}
    assert steps["characterize"].seconds == 0.0
    assert steps["train"].seconds
    more = plan(finished, parse(["sample.size=12"]))
    assert more.architectures == 12
    assert more.stored < 12
    assert plan(finished, parse(["characterize.epochs=3"])).stored == 0
    assert plan(finished, parse(["train.epochs=3"])).stored == 10


def test_what_a_run_would_refuse_is_refused(workspace: Paths):
    for values in ({"space.max_params": 10}, {"dataset.name": "digitz"}, {"search.optimizer": "nope"}):
        with pytest.raises(InputError):
            plan(workspace, values)


def test_values_that_are_others_than_recorded_are_named():
    recorded = {
        "base.seed": 0, "train": {"epochs": 20}, "hardware": "analognas-bench", "search.constraints": {},
        "dataset.digest": "d", "environment.protocol.train": 1,
    }  # fmt: skip
    environment = {"protocol": {"train": 1}}
    params = Params()
    assert list(planning._changed(recorded, params, {"digest": "d"}, environment)) == []
    other = Params.validated({"base": {"seed": 1}, "hardware": {"adc_bits": 6}, "search": {"k": 2}})
    assert list(planning._changed(recorded, other, {"digest": "e"}, {"protocol": {"train": 2}})) == [
        "dataset.digest is another one",
        "environment.protocol.train is another one",
        "base.seed is 1, was 0",
        "hardware.adc_bits is 6, was None",
    ]


def test_what_dvc_says_of_parameters_counts_if_they_were_not_recorded():
    assert planning._parameter("parameter train.epochs of params.yaml: modified") == "train.epochs"
    assert planning._parameter("parameter protocol.fit of data/environment.json: new") == "environment.protocol.fit"
    assert planning._parameter("input data/rounds: modified") is None


def test_stages_after_one_that_runs_may_come_out_the_same(
    past: Paths, monkeypatch: pytest.MonkeyPatch, machine: list[int]
):
    told: dict[str, list[str]] = {stage: [] for stage in STAGES}
    monkeypatch.setattr(Versioning, "looked", lambda *_: told)
    monkeypatch.setattr(planning, "current_environment", lambda *_: {})
    monkeypatch.setattr(planning, "_changed", lambda recorded, *_: ["x is 1"] if "fit" in recorded else [])
    told["train"] = ["parameter train.newer of params.yaml: new", "parameter train of params.yaml: modified"]
    found = planning._stages(past, Params.load(past.params), {})  # type: ignore[typeddict-item]
    assert found.pop("train") == (RUNS, ("parameter train.newer of params.yaml: new",))
    assert [found[stage][0] for stage in found] == [CACHED, CACHED, RUNS, DEPENDS]
    assert found["search"][1] == ("fit runs before it",)


def test_an_output_that_only_the_cache_has_lost_is_no_reason(past: Paths, monkeypatch: pytest.MonkeyPatch):
    told = {stage: ["output data/winner: not in cache"] for stage in STAGES}
    monkeypatch.setattr(Versioning, "looked", lambda *_: told)
    monkeypatch.setattr(planning, "current_environment", lambda *_: {})
    monkeypatch.setattr(planning, "_changed", lambda *_: [])
    params = Params.load(past.params)
    found = planning._stages(past, params, {})  # type: ignore[typeddict-item]
    assert {what for what, _ in found.values()} == {CACHED}
    shutil.rmtree(past.winner)
    found = planning._stages(past, params, {})  # type: ignore[typeddict-item]
    assert found["train"] == (RUNS, ("output data/winner: not in cache",))


@pytest.mark.slow
def test_with_dvc_it_is_what_a_run_then_does(finished_copy: Paths, machine: list[int]):
    paths = finished_copy
    for name in (".gitignore", ".dvcignore"):
        shutil.copyfile(source() / name, paths.root / name)
    subprocess.run(["git", "init", "-q"], cwd=paths.root, check=True)
    versioning = Versioning.init(paths.root)
    assert versioning is not None
    versioning.commit("record", *STAGES)
    before = all_files(paths)
    assert plan(paths, {}).nothing
    assert plan(paths, {}).sentences() == ["Every stage is up to date: nothing would run."]
    assert machine == []
    assert [step.what for step in plan(paths, parse(["train.epochs=3"])).steps] == [CACHED] * 4 + [RUNS]
    assert [step.what for step in plan(paths, parse(["search.k=3"])).steps] == [*[CACHED] * 3, RUNS, DEPENDS]
    assert [step.what for step in plan(paths, parse(["dataset.per_class=20"])).steps] == [
        CACHED, RUNS, DEPENDS, RUNS, RUNS,
    ]  # fmt: skip
    assert all_files(paths) == before
    assert ResultStore.of(paths.root).root.is_dir()


def test_points_of_a_sweep_count_what_none_of_them_characterized_before(workspace: Paths, machine: list[int]):
    params = Params.load(workspace.params)
    longer = Params.validated(params.model_dump(mode="json") | {"search": {"k": 2.0}})
    (alone, twice, both) = (points_seconds(workspace, points) for points in ([params], [params] * 2, [params, longer]))
    assert alone is not None
    assert twice is not None
    assert alone < twice < 2 * alone  # the second one has only the other stages to run
    assert both == pytest.approx(twice, rel=0.5)
    assert len(machine) == 3  # once for each sweep
    kind = params.model_copy(update={"base": params.base.model_copy(update={"device": "cuda"})})
    points_seconds(workspace, [params, kind])
    assert len(machine) == 5
    assert points_seconds(workspace, []) == 0
