from __future__ import annotations

import pytest

from analognas.workspace import Paths


@pytest.fixture
def inside(workspace: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return a tiny workspace in which nothing has run, and work in it."""
    monkeypatch.chdir(workspace.root)
    return workspace
