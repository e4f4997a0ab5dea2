from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import CorruptFileError
from analognas.files import digest, file_digest, read_sealed, write_sealed
from analognas.params import Params
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.tracking import state
from analognas.workspace import Paths

PARAMS = Params()


class Recorded:
    """Stands for DVC: what it has recorded of each stage."""

    def __init__(self, **hashes: str) -> None:
        self.hashes = hashes

    def recorded_hash(self, stage: str) -> str | None:
        return self.hashes.get(stage)

    stage_hash = recorded_hash


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a workspace in which ``sample`` and ``characterize`` have run."""
    found = Paths(tmp_path / "space")
    found.root.mkdir()
    shutil.copyfile(source() / "dvc.yaml", found.root / "dvc.yaml")
    for name in ("sample", "characterize"):
        write_sealed(found.metrics(name), {"rows": 3})
    found.architectures.write_bytes(b"a")
    found.surrogate.write_bytes(b"b")
    return found


def decided(paths: Paths, number: int, decision: str, **more: Any) -> dict[str, Any]:
    record = {"comparison": {}, "challenger": {"digest": "0" * 64}}
    content = {"round": number, "purpose": "retrain", "decision": decision, "record": record} | more
    write_sealed(paths.rounds / f"{number:03d}.json", content)
    return content


def log(paths: Paths, **hashes: str) -> None:
    """Let hashes be known to be in MLflow's database."""
    (paths.root / "mlflow.db").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(paths.root / "mlflow.db")) as database:
        database.execute("create table runs (id)")
    write_sealed(state.marker_file(paths), {state.place(paths, PARAMS): hashes})


def test_stages_count_up_to_the_first_without_results(paths: Paths):
    versioning: Any = Recorded(sample="1", characterize="2", fit="3", search="4")
    assert state.stage_hashes(paths, versioning) == {"sample": "1", "characterize": "2"}  # fit has no metrics
    write_sealed(paths.metrics("search"), {})
    assert state.stage_hashes(paths, versioning) == {"sample": "1", "characterize": "2"}
    del versioning.hashes["sample"]
    assert state.stage_hashes(paths, versioning) == {}


def test_without_versions_a_result_is_known_by_its_content(paths: Paths):
    before = state.stage_hashes(paths, None)
    assert list(before) == ["sample", "characterize"]
    paths.surrogate.write_bytes(b"c")
    after = state.stage_hashes(paths, None)
    assert after["sample"] == before["sample"]
    assert after["characterize"] != before["characterize"]
    paths.surrogate.unlink()
    assert list(state.stage_hashes(paths, None)) == ["sample"]


def test_what_is_not_known_to_be_logged_is_untracked(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    versioning: Any = Recorded(sample="1", characterize="2")
    assert state.untracked(paths, PARAMS, versioning) == ("sample", "characterize")
    log(paths, sample="1", characterize="old")
    assert state.untracked(paths, PARAMS, versioning) == ("characterize",)
    log(paths, sample="1", characterize="2")
    assert state.untracked(paths, PARAMS, versioning) == ()
    # What is known of one place says nothing of another.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert state.untracked(paths, PARAMS, versioning) == ("sample", "characterize")


def test_of_a_database_that_is_gone_empty_or_damaged_nothing_is_known(paths: Paths):
    log(paths, sample="1")
    assert state.known_hashes(paths, PARAMS) == {"sample": "1"}
    for content in (b"no database " * 1000, b"", None):
        (paths.root / "mlflow.db").unlink()
        if content is not None:
            (paths.root / "mlflow.db").write_bytes(content)
        assert state.known_hashes(paths, PARAMS) == {}


def test_the_place_tells_no_password(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    assert state.place(paths, PARAMS) == f"sqlite:///{paths.root}/mlflow.db space"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:not-written@host:5000")
    assert state.place(paths, PARAMS) == "http://***@host:5000 space"


def test_decisions_are_those_about_rounds_of_retraining(paths: Paths):
    content = decided(paths, 1, "rejected")
    decided(paths, 2, "accepted", purpose="search")
    decided(paths, 3, "pending", record={})
    write_sealed(paths.rounds / "sentinel.json", {"purpose": "retrain"})
    (paths.rounds / "004.json").write_text("{")
    assert state.decisions(paths) == {1: content}
    assert state.unlogged(paths, PARAMS) == {1: digest(content)}


def test_a_logged_decision_is_not_logged_again_until_it_changes(paths: Paths):
    log(paths, **{"round-001": digest(decided(paths, 1, "rejected"))})
    assert state.unlogged_decisions(paths, PARAMS) == ()
    decided(paths, 1, "rejected", reason="rolled back")
    assert state.unlogged_decisions(paths, PARAMS) == (1,)


def test_the_newest_accepted_decision_waits_for_its_evaluator(paths: Paths):
    decided(paths, 1, "accepted")
    brought: dict[str, Any] = {"comparison": {}, "challenger": {"digest": "1" * 64}}
    decided(paths, 2, "accepted", record=brought)
    decided(paths, 3, "rejected")
    assert state.unlogged_decisions(paths, PARAMS) == (1, 3)
    write_sealed(paths.evaluator / "schema.json", {})
    assert state.unlogged_decisions(paths, PARAMS) == (1, 3)  # still the evaluator before
    decided(paths, 2, "accepted", record=brought | {"challenger": {"digest": file_digest(paths.evaluator)}})
    assert state.unlogged_decisions(paths, PARAMS) == (1, 2, 3)


def test_durations_are_kept_stage_by_stage_with_the_hash_they_belong_to(paths: Paths):
    versioning: Any = Recorded(sample="1", fit="3")
    state.note_duration(paths, "sample", versioning, 12.34)
    state.note_duration(paths, "fit", versioning, 1.0)
    state.note_duration(paths, "sample", versioning, 2.26)
    assert read_sealed(state.timings_file(paths), remedy="") == {
        "sample": {"stage_hash": "1", "seconds": 2.3}, "fit": {"stage_hash": "3", "seconds": 1.0},
    }  # fmt: skip
    state.timings_file(paths).write_text("{")  # damaged: it is as if it were not there
    state.note_duration(paths, "fit", versioning, 1.0)
    assert list(state.read_or_empty(state.timings_file(paths))) == ["fit"]


@pytest.mark.parametrize("text", [None, "{", "[1]", "3", "\x00"])
def test_what_cannot_be_read_is_empty(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    assert state.read_or_empty(tmp_path / "x.json") == {}


def test_plots_are_no_data_and_a_workspace_without_dvc_yaml_is_refused(paths: Paths):
    reads, writes = state.stage_data(paths, "fit")
    assert [path.name for path in reads] == ["architectures.parquet", "rounds", "surrogate.parquet"]
    assert writes == [paths.evaluator]
    (paths.root / "dvc.yaml").unlink()
    with pytest.raises(CorruptFileError, match=r"dvc\.yaml is damaged or missing"):
        state.stage_data(paths, "fit")


def test_models_are_what_stages_write(paths: Paths):
    for stage, folder in state.MODELS.items():
        assert stage in STAGES
        assert paths.data / folder in state.stage_data(paths, stage)[1]
