from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from analognas.files import file_digest
from analognas.params import Params
from analognas.tracking import labels
from analognas.workspace import Paths


def test_a_run_is_called_by_its_workspace_its_data_and_its_size(tmp_path: Path):
    title = labels.title(Paths(tmp_path / "chip-a"), Params.validated({"sample": {"size": 40}, "base": {"seed": 3}}))
    assert title == "chip-a: digits, 40 architectures, seed 3"


def test_tags_say_who_what_and_from_which_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    assert labels.tags(Paths(tmp_path)) == {"mlflow.user": "anna", "mlflow.source.name": "analognas"}
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    for arguments in (["init"], ["add", "-A"], ["commit", "-m", "a"]):
        identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)
    told = labels.tags(Paths(tmp_path), "http://127.0.0.1:4200/runs/flow-run/7")
    assert len(told["mlflow.source.git.commit"]) == 40
    assert told["analognas.dirty"] == "false"
    assert told["analognas.dvc_lock"] == file_digest(tmp_path / "dvc.lock")
    assert told["analognas.prefect"] == "http://127.0.0.1:4200/runs/flow-run/7"
    (tmp_path / "dvc.lock").write_text("schema: '2.1'\n")
    assert labels.tags(Paths(tmp_path))["analognas.dirty"] == "true"
