import json
import shutil
import sys
import types
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analognas.errors import AnalogNASWarning, CorruptFileError, MismatchError, StageError
from analognas.evaluators.registry import load_evaluator
from analognas.files import write_sealed
from analognas.hardware.cost import tiles
from analognas.params import Params
from analognas.params.file import override
from analognas.params.overrides import parse
from analognas.results import ResultStore
from analognas.rows import ResultRow
from analognas.search_algorithms import NSGA2
from analognas.setup.preparing import prepare
from analognas.stages import characterize, inputs, processes, run_stage
from analognas.testing import made_up_result, made_up_row
from analognas.workspace import Paths


def test_the_table_has_a_row_for_every_architecture(finished: Paths):
    frame = pd.read_parquet(finished.surrogate)
    sampled = pd.read_parquet(finished.architectures)
    assert frame["id"].tolist() == sampled["id"].tolist()
    # Two epochs at the full rate are too much for some: those are rows with a reason and without figures.
    good = frame["status"] == "ok"
    assert good.sum() >= 8
    assert frame.loc[good, "acc_1d"].between(0, 100).all()
    assert frame.loc[~good, "acc_1d"].isna().all()
    assert (frame.loc[~good, "status"] == "diverged").all()
    assert (frame.loc[~good, "reason"] != "").all()
    assert frame[["dataset", "hardware", "protocol"]].nunique().tolist() == [1, 1, 1]


def test_what_is_stored_is_not_measured_again(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch):
    params = Params.load(finished_copy.params)
    before = finished_copy.surrogate.read_bytes()
    finished_copy.surrogate.unlink()
    monkeypatch.setattr(characterize, "measure", lambda job: pytest.fail("measured again"))
    assert characterize.pending(params, finished_copy) == []
    run_stage("characterize", params, finished_copy)
    assert finished_copy.surrogate.read_bytes() == before


def test_only_what_is_missing_is_measured_serially_or_in_parallel_with_the_same_bytes(finished_copy: Paths):
    params = override(finished_copy.params, ["run.runner=serial"])
    before = finished_copy.surrogate.read_bytes()
    store = ResultStore.of(finished_copy.root)
    key = next(iter(store.keys()))
    stored = store.path(key).read_bytes()
    store.path(key).unlink()
    assert [job.key for job in characterize.pending(params, finished_copy)] == [key]
    run_stage("characterize", params, finished_copy)
    assert finished_copy.surrogate.read_bytes() == before
    assert store.path(key).read_bytes() == stored


def test_every_input_that_decides_a_result_is_in_its_key(finished_copy: Paths):
    def keys(*assignments: str) -> set[str]:
        params = override(finished_copy.params, assignments)
        return {job.key for job in characterize.jobs(params, finished_copy)}

    seen = keys()
    for assignment in (
        "characterize.epochs=3",
        "characterize.repeats=3",
        "characterize.times=[1, 60, 86400, 2592000]",
        "hardware.tile_size=64",
        "base.seed=1",
    ):
        other = keys(assignment)
        assert not seen & other, assignment
        seen |= other


def test_results_of_other_versions_of_torch_and_aihwkit_have_other_keys(
    finished_copy: Paths, monkeypatch: pytest.MonkeyPatch
):
    """Networks trained by two versions are not the same: neither is taken for the other's."""
    params = Params.load(finished_copy.params)
    seen = {job.key for job in characterize.jobs(params, finished_copy)}
    for package in ("torch", "aihwkit"):
        with monkeypatch.context() as patched:
            patched.setattr(characterize, "version", lambda name, of=package: "0.1" if name == of else version(name))
            other = {job.key for job in characterize.jobs(params, finished_copy)}
        assert not seen & other, package
        seen |= other


def test_a_larger_budget_keeps_what_was_measured(finished_copy: Paths):
    params = override(finished_copy.params, ["space.max_params=4k"])
    assert characterize.pending(params, finished_copy) == []


def test_a_network_over_the_budget_is_a_result_with_a_reason(finished_copy: Paths):
    frame = pd.read_parquet(finished_copy.architectures)
    limit = int(frame["params"].max()) - 1
    params = override(finished_copy.params, [f"space.max_params={limit}", "run.runner=serial"])
    # The sample is left as it is: this is what a round with a large network meets.
    todo = characterize.pending(params, finished_copy)
    assert len(todo) == 1
    result = characterize.measure(todo[0])
    assert result.status == "too_large"
    assert str(limit) in result.reason
    characterize.store(todo[0], result, finished_copy)
    assert characterize.assemble(params, finished_copy)["too_large"] == 1


def test_rounds_add_architectures(finished_copy: Paths):
    params = Params.load(finished_copy.params)
    known = characterize.jobs(params, finished_copy)
    genes = dict(known[0].architecture.genes) | {"kernel_size0": 8 - known[0].architecture.genes["kernel_size0"]}
    entry = {"round": 1, "decision": "accepted", "reason": "a test", "architectures": [{"genes": genes}]}
    write_sealed(finished_copy.rounds / "001.json", entry)
    added = characterize.jobs(params, finished_copy)
    assert [job.key for job in added[:-1]] == [job.key for job in known]
    assert dict(added[-1].architecture.genes) == genes


def test_a_damaged_round_is_named(finished_copy: Paths):
    write_sealed(finished_copy.rounds / "001.json", {})
    with pytest.raises(CorruptFileError, match=r"001\.json is no round"):
        characterize.jobs(Params.load(finished_copy.params), finished_copy)


def test_a_damaged_result_is_named_and_measured_anew(finished_copy: Paths):
    params = Params.load(finished_copy.params)
    store = ResultStore.of(finished_copy.root)
    key = next(iter(store.keys()))
    path = store.path(key)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(CorruptFileError, match=path.name):  # the table is never made of half a result
        characterize.assemble(params, finished_copy)
    with pytest.warns(AnalogNASWarning, match=rf"{path} is damaged.*{path.name}\.damaged.*measured anew"):
        todo = characterize.pending(params, finished_copy)
    assert [job.key for job in todo] == [key]
    assert path.with_name(f"{path.name}.damaged").read_bytes() == whole[:-10]
    assert characterize.pending(params, finished_copy) == todo
    characterize.store(todo[0], characterize.measure(todo[0]), finished_copy)
    assert path.read_bytes() == whole


def test_other_data_than_recorded_is_refused(finished_copy: Paths):
    recorded = json.loads(finished_copy.dataset.read_text())
    write_sealed(finished_copy.dataset, recorded | {"digest": "0" * 64})
    with pytest.raises(MismatchError, match="records digest"):
        run_stage("characterize", Params.load(finished_copy.params), finished_copy)


def test_a_damaged_sample_is_named(finished_copy: Paths):
    shutil.copyfile(finished_copy.params, finished_copy.architectures)
    with pytest.raises(CorruptFileError, match=r"architectures\.parquet is damaged.*analognas stage sample"):
        characterize.jobs(Params.load(finished_copy.params), finished_copy)


def test_some_are_characterized_again_with_another_seed(finished_copy: Paths):
    params = override(finished_copy.params, ["characterize.replicates=2", "run.runner=serial"])
    todo = characterize.pending(params, finished_copy)
    sample = [job.architecture for job in characterize.jobs(params, finished_copy)][:2]
    assert [job.architecture for job in todo] == sample
    assert all(job.replicate and job.seed != params.base.seed for job in todo)
    before = len(pd.read_parquet(finished_copy.surrogate))
    summary = run_stage("characterize", params, finished_copy)
    assert summary["architectures"] == before
    frame = pd.read_parquet(finished_copy.surrogate)
    again = frame[frame["role"] == "replicate"]
    assert again["id"].tolist() == [one.id for one in sample]
    first = frame[frame["role"] == "sample"].set_index("id").loc[again["id"]]
    assert (again["acc_1d"].to_numpy() != first["acc_1d"].to_numpy()).all()
    learned = {path: path.read_bytes() for path in finished_copy.evaluator.rglob("*.ubj")}
    known = load_evaluator(finished_copy.evaluator, params.fit.evaluator).evidence_
    report = run_stage("fit", params, finished_copy)
    assert report["ceiling"]["acc_1d"]["pairs"] <= 2
    assert {path: path.read_bytes() for path in finished_copy.evaluator.rglob("*.ubj")} == learned
    after = load_evaluator(finished_copy.evaluator, params.fit.evaluator).evidence_
    assert after.trainings.sum() == known.trainings.sum() + 2  # they tell how much of a measurement is luck


CHIP = """
from aihwkit.simulator.parameters.enums import NoiseManagementType
from analognas.hardware.presets import analognas_bench

def chip():
    config = analognas_bench()
    config.mapping.max_input_size, config.mapping.max_output_size = 24, 5
    config.forward.noise_management = NoiseManagementType.ABS_MAX
    return config
"""


def test_the_tiles_of_ones_own_chip_are_counted_everywhere(workspace: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what of it the fast layers do not compute is said once, before the work begins."""
    module = types.ModuleType("two_sides")
    exec(CHIP, vars(module))
    monkeypatch.setitem(sys.modules, "two_sides", module)
    monkeypatch.chdir(workspace.root)
    params = prepare(workspace, parse(["hardware.rpu_config=two_sides:chip"]))
    run_stage("sample", params, workspace)
    sampled = pd.read_parquet(workspace.architectures)
    space = inputs.space(params, workspace)
    expected = {
        one.id: tiles(one.structure, (24, 5))
        for one in (space.architecture(json.loads(genes)) for genes in sampled["genes"])
    }
    assert dict(zip(sampled["id"], sampled["tiles"], strict=True)) == expected
    assert len(set(expected.values())) > 1

    measured = dict(zip(sampled["id"], range(60, 70), strict=True))

    def measure(job: characterize.Job) -> ResultRow:
        one = job.architecture
        row = made_up_row(one, times=job.training.times, acc_1d=float(measured[one.id]))
        return replace(row, tiles=tiles(one.structure, job.hardware.tile_shape))

    monkeypatch.setattr(characterize, "measure", measure)
    monkeypatch.setattr(processes, "each", lambda _, todo, side_by_side: enumerate(map(measure, todo)))
    with pytest.warns(AnalogNASWarning, match="ABS_MAX is not computed by the fast analog layers: all layers") as said:
        run_stage("characterize", params, workspace)
    assert [one.category for one in said] == [AnalogNASWarning]
    run_stage("fit", params, workspace)
    schema = json.loads((workspace.evaluator / "schema.json").read_text())
    assert schema["features"]["tile_size"] == [24, 5]

    class Fronts(NSGA2):
        def __init__(self, *given: Any, **further: Any) -> None:
            super().__init__(*given, objectives=("acc_1d", "tiles"), **further)

    monkeypatch.setattr("analognas.stages.search.optimizer_class", lambda name: Fronts)
    run_stage("search", params, workspace)
    front = pd.read_parquet(workspace.search / "pareto.parquet")
    found = [space.architecture(json.loads(genes)) for genes in front["genes"]]
    assert front["tiles"].tolist() == [tiles(one.structure, (24, 5)) for one in found]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"id": "a"}, "is of another type"),
        (made_up_result(1)[1], "is of the architecture"),
        (made_up_result(1, 1000.0)[1], "has acc_1d = 1000"),
    ],
)
def test_what_a_worker_returns_is_a_result_of_what_it_was_given(tmp_path: Path, returned: Any, said: str):
    job = SimpleNamespace(architecture=SimpleNamespace(id="0" * 16), inputs={})
    with pytest.raises(StageError, match=f"{said}.*same version of analognas"):
        characterize.store(job, returned, Paths(tmp_path))
    assert not list(tmp_path.iterdir())
