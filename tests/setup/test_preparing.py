import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from analognas.datasets import describe, load
from analognas.errors import InputError, MismatchError, ParamsError, WorkspaceError
from analognas.files import read_sealed
from analognas.params import Params
from analognas.params.overrides import parse
from analognas.setup.preparing import current_environment, prepare
from analognas.stages import PROTOCOLS, inputs
from analognas.stages.rounds import Entry, Round, write_round
from analognas.workspace import Paths, alone


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_prepare_takes_the_assignments_over_and_records_versions_and_data(workspace: Paths):
    workspace.environment.unlink()
    change(workspace.dataset, digest="0" * 64)
    params = prepare(workspace, parse(["search.k=2.5"]))
    assert params.search.k == 2.5
    assert params == Params.load(workspace.params)
    environment = read_sealed(workspace.environment, remedy="")
    assert environment == current_environment(params, workspace)
    assert environment["hardware"] == "preset"
    assert environment["protocol"] == PROTOCOLS
    recorded = read_sealed(workspace.dataset, remedy="")
    assert recorded.pop("looked")["notes"] == []
    assert recorded == describe(load("digits"))


def test_who_edits_a_chip_of_her_own_has_another_one(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    from analognas.hardware.presets import PRESETS

    config = PRESETS["analognas-bench"].make()
    monkeypatch.setitem(sys.modules, "own_chip", SimpleNamespace(chip=lambda: config))
    prepare(workspace, parse(["hardware.rpu_config=own_chip:chip"]))
    before = read_sealed(workspace.environment, remedy="")
    prepare(workspace)
    assert read_sealed(workspace.environment, remedy="") == before
    config.forward.out_noise *= 2
    prepare(workspace)
    after = read_sealed(workspace.environment, remedy="")
    assert after["hardware"].startswith("own_chip:chip-")
    assert after["hardware"] != before["hardware"]


def test_what_is_recorded_already_is_not_written_again(workspace: Paths):
    files = (workspace.params, workspace.environment, workspace.dataset)
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    prepare(workspace)
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before


@pytest.mark.parametrize(
    "assignment",
    [
        "search.populaton_size=3",
        "dataset.name=digitz",
        "space.max_params=10",
        "search.optimizer=ea_optimised",
        "cost.chip=hermes-2-phase",
        "cost.chip=analognas-projected",
        "cost.constants={vector_s: 3}",
        "search.objectives=[acc_1d, tiles]",
        "search.constraints.latency=3",
    ],
)
def test_nothing_is_written_if_anything_is_wrong(workspace: Paths, assignment: str):
    workspace.environment.unlink()
    workspace.dataset.unlink()
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    with pytest.raises(InputError):
        prepare(workspace, parse(["search.k=2.5", assignment]))
    assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before


def test_nothing_is_written_where_the_data_folder_cannot_be(workspace: Paths):
    before = workspace.params.read_bytes()
    shutil.rmtree(workspace.data)
    workspace.data.write_text("no folder")
    with pytest.raises(WorkspaceError):
        prepare(workspace, parse(["search.k=2.5"]))
    assert workspace.params.read_bytes() == before


def test_a_workspace_in_which_a_run_works_is_left_as_it_is(workspace: Paths):
    workspace.environment.unlink()
    (workspace.data / ".tmp-about-to-be-finished").write_text("half")
    with alone(workspace):
        before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(prepare, workspace, parse(["search.k=2.5"]))
            with pytest.raises(WorkspaceError, match="Another run works in"):
                asked.result()
        assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before
        assert prepare(workspace, parse(["search.k=2.5"])).search.k == 2.5  # the run itself
    prepare(workspace, parse(["search.k=3"]))  # and it lets go of the lock
    prepare(workspace, parse(["search.k=2"]))


def test_too_few_architectures_for_the_evaluator_are_refused_before_anything_runs(workspace: Paths):
    before = workspace.params.read_bytes()
    with pytest.raises(InputError, match=r"sample\.size is 5, and fit\.evaluator xgboost needs at least 8 arch"):
        prepare(workspace, parse(["sample.size=5"]))
    assert workspace.params.read_bytes() == before
    space = inputs.space(Params.load(workspace.params), workspace)
    entries = tuple(Entry(architecture) for architecture in space.sample(3, seed=9))
    write_round(workspace, Round(1, entries, "more"))
    assert prepare(workspace, parse(["sample.size=5"])).sample.size == 5


def test_data_without_images_are_refused_before_anything_is_written(workspace: Paths):
    before = workspace.params.read_bytes()
    with pytest.raises(ParamsError, match=r"no images, .* set characterize.source to analognas-bench, space.name to"):
        prepare(workspace, parse(["dataset.name=analognas-bench"]))
    with pytest.raises(MismatchError, match="holds the cells of"):
        prepare(workspace, parse(["dataset.name=analognas-bench", "characterize.source=analognas-bench"]))
    assert workspace.params.read_bytes() == before
