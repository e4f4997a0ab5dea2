from __future__ import annotations

from pathlib import Path

import pytest

from analognas.errors import CorruptFileError, StageError
from analognas.params import Params
from analognas.tracking.reading import opened_client
from analognas.workspace import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "params.yaml").write_text("base: {seed: 0}\n")
    return Paths(tmp_path)


def test_what_mlflow_raises_is_one_sentence(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(StageError, match=r"MLflow at http://127.0.0.1:9 .*: start it"), opened_client(paths, Params()):
        pass


def test_a_damaged_database_is_named(paths: Paths):
    (paths.root / "mlflow.db").write_bytes(b"no database at all, but long enough to be looked at" * 40)
    with pytest.raises(CorruptFileError, match="move it away"), opened_client(paths, Params()):
        pass


def test_what_is_raised_within_is_told_too_but_ours_stays_as_it_is(paths: Paths):
    with pytest.raises(StageError, match="MLflow at"), opened_client(paths, Params()):
        raise RuntimeError("of some library")
    with pytest.raises(CorruptFileError, match="ours"), opened_client(paths, Params()):
        raise CorruptFileError("ours.")
