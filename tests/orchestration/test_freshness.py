import subprocess
import sys
from typing import Any

import pytest

from analognas.files import write_sealed
from analognas.orchestration import Freshness
from analognas.stages import STAGES
from analognas.tracking import state
from analognas.versioning import Versioning
from analognas.workspace import Paths

FRESH: dict[str, list[str]] = {stage: [] for stage in STAGES}


def test_freshness_needs_neither_prefect_nor_mlflow_nor_torch():
    code = (
        "import sys; from analognas.orchestration import Freshness, run_pipeline\n"
        "import analognas.orchestration.characterizing\n"
        "print([name for name in ('prefect', 'mlflow', 'torch', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_is_done_when_nothing_is_stale_and_nothing_unlogged():
    assert Freshness(FRESH).done
    assert not Freshness(FRESH, untracked=("fit",)).done
    assert not Freshness(FRESH, decisions=(1,)).done
    assert not Freshness(FRESH | {"fit": ["changed command"]}).done


def test_freshness_is_one_question_to_dvc(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def status(_: Versioning, stages: tuple[str, ...]) -> dict[str, list[str]]:
        asked.append(stages)
        return FRESH | {"train": ["changed command"]}

    monkeypatch.setattr(Versioning, "problem", lambda root: None)
    monkeypatch.setattr(Versioning, "status", status)
    monkeypatch.setattr(state, "untracked", lambda *_: ("fit", "train"))
    freshness = Freshness.of(workspace)
    assert asked == [STAGES]
    assert freshness.untracked == ("fit",)  # train is going to run anyway
    assert freshness.unversioned is None


def test_what_another_version_wrote_is_written_anew(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Versioning, "problem", lambda root: None)
    monkeypatch.setattr(Versioning, "status", lambda *_: {stage: [] for stage in STAGES})
    monkeypatch.setattr(state, "untracked", lambda *_: ())
    write_sealed(workspace.metrics("sample"), {"architectures": 3})
    workspace.metrics("fit").write_text('{"architectures": 3}')  # without a checksum, as before there were any
    freshness = Freshness.of(workspace)
    assert [stage for stage in STAGES if freshness.stale[stage]] == ["fit"]
    assert "is of another version" in freshness.stale["fit"][0]
