import json
from pathlib import Path

import pytest

from analognas import datasets
from analognas.errors import CorruptFileError, InputError, MismatchError
from analognas.files import write_sealed
from analognas.params import Params
from analognas.stages import PROTOCOLS
from analognas.stages.recorded import (
    check_dataset,
    check_environment,
    dataset_arguments,
    describe_dataset,
    one_look,
)
from analognas.workspace import Paths


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("package", ["aihwkit", "scikit-learn", "torch", "xgboost"])
def test_every_version_that_decides_results_is_compared(workspace: Paths, package: str):
    check_environment(workspace, "fit", "preset")
    change(workspace.environment, **{package: "0.0.1"})
    with pytest.raises(MismatchError, match=rf"{package} 0\.0\.1, .*doctor --update"):
        check_environment(workspace, "fit", "preset")


def test_a_stage_is_refused_for_its_own_protocol_only(workspace: Paths):
    change(workspace.environment, protocol=PROTOCOLS | {"fit": 0})
    check_environment(workspace, "search", "preset")
    with pytest.raises(MismatchError, match="protocol of fit 0"):
        check_environment(workspace, "fit", "preset")


def test_another_chip_than_the_recorded_one_is_refused(workspace: Paths):
    with pytest.raises(MismatchError, match=r"records hardware preset, here it is my\.chip-0123: .*doctor --update"):
        check_environment(workspace, "characterize", "my.chip-0123")


@pytest.mark.parametrize("key", ["name", "classes", "digest", "split_digest", "sizes"])
def test_other_data_than_recorded_are_refused(workspace: Paths, key: str):
    params = Params.load(workspace.params)
    assert check_dataset(params, workspace) == json.loads(workspace.dataset.read_text())
    change(workspace.dataset, **{key: "other"})
    with pytest.raises(MismatchError, match=rf"records {key} 'other'.*doctor --update"):
        check_dataset(params, workspace)


def test_a_run_has_one_look_at_its_data(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    params, loads = Params.load(workspace.params), []
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda **given: loads.append(given) or load(**given))
    with one_look():
        found = [check_dataset(params, workspace), describe_dataset(params, workspace)]
        with one_look():  # the run that a command starts
            found.append(check_dataset(params, workspace))
        fewer = Params.validated(params.model_dump() | {"dataset": params.dataset.model_dump() | {"per_class": 20}})
        assert describe_dataset(fewer, workspace)["sizes"] != found[0]["sizes"]
    assert found[0] == found[1] == found[2]
    assert len(loads) == 2
    check_dataset(params, workspace)
    check_dataset(params, workspace)
    assert len(loads) == 4


def test_missing_records_name_the_remedy(workspace: Paths):
    workspace.environment.unlink()
    workspace.dataset.unlink()
    with pytest.raises(CorruptFileError, match=r"environment\.json is missing: .*doctor --update"):
        check_environment(workspace, "sample", "preset")
    with pytest.raises(CorruptFileError, match=r"dataset\.json is missing: .*doctor --update"):
        check_dataset(Params(), workspace)


@pytest.mark.parametrize(
    ("given", "place"), [(None, None), ("images", "/ws/images"), ("/data", "/data"), ("~/data", "/home/me/data")]
)
def test_the_path_of_a_dataset_is_relative_to_the_workspace(given, place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/me")
    params = Params.validated({"dataset": {"name": "image-folder", "path": given, "channels": 1}})
    expected = params.dataset.model_dump() | {"path": place}
    assert {"name", "image_size", "channels", "features", "seconds", "classes", "augment"} < set(expected)
    assert dataset_arguments(params, Paths(Path("/ws"))) == expected


@pytest.mark.parametrize("content", ["[]", "3", '{"protocol": null}', '{"protocol": 3}'])
def test_a_record_of_another_form_is_no_traceback(workspace: Paths, content: str):
    if content.startswith('{"'):
        write_sealed(workspace.environment, json.loads(content))
    else:
        workspace.environment.write_text(content)
    with pytest.raises(InputError, match=r"environment\.json"):
        check_environment(workspace, "sample", "preset")
