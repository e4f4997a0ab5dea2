"""A team for a month: people, a workspace that is retrained by a schedule, and the real servers between them.

``python -m pytest -m team tests/team`` (``make test-team``) plays all of it; its short part is in ``make test-long``.
What the servers keep is in files, or where a team has it: ``TEAM_DATABASE=postgresql``, ``TEAM_REMOTE=s3``. Who and
what they are is in ``tests/helpers/team``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from team.clocks import STORY
from team.month import CHOICES, Month

#: A pipeline of seconds: what is characterized follows a formula (``injected``), winners are trained.
QUICK = (
    "characterize.replicates=0", "characterize.repeats=2", "space.max_params=5k", "sample.size=12",
    "fit.folds=3", "fit.bootstrap=100", "fit.method=regressor",
    "search.population_size=8", "search.nb_iter=2", "search.runs=2", "search.T_AVM=null", "search.min_acc_1d=0",
    "train.epochs=2", "train.hwa_epochs=1", "train.repeats=2", "train.times=[1, 3600, 86400, 2592000]",
    "retrain.sentinel_size=24", "retrain.round_size=30", "retrain.guard_avm=2", "retrain.min_coverage=0",
    "retrain.bootstrap=200", "run.workers=1",
)  # fmt: skip


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember the first event of a class that failed: those after it would only tell the same again."""
    if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception) and item.parent is not None:
        item.parent.stash.setdefault(_FAILED, item.name)


_FAILED = pytest.StashKey[str]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip events that follow one that failed."""
    failed = item.parent.stash.get(_FAILED, None) if item.get_closest_marker("team") and item.parent else None
    if failed is not None:
        pytest.skip(f"{failed} failed before")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell the month, event by event."""
    for event, seconds, seen in STORY:
        terminalreporter.write_line(f"{seconds:6.1f} s  {event}: {seen}")


@pytest.fixture(scope="class")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """Return a team that has not begun."""
    _have_what_is_asked_for()
    made = Month(tmp_path_factory.mktemp("month"))
    try:
        yield made
    finally:
        made.close()


def _have_what_is_asked_for() -> None:
    """Fail if the environment asks for what is unknown, or not installed."""
    installed = {distribution.name.lower() for distribution in distributions()}
    for name, choices in CHOICES.items():
        wish = os.environ.get(name, next(iter(choices)))
        if wish not in choices:
            pytest.fail(f"{name}={wish} is unknown: write {' or '.join(choices)}.")
        missing = [package for package in choices[wish] if package not in installed]
        if missing:
            pytest.fail(f"{name}={wish} needs {', '.join(missing)}: docs/team.md says what to install.")


@pytest.fixture
def hour(tmp_path: Path) -> Iterator[Month]:
    """Return a team without servers that has not begun."""
    made = Month(tmp_path, servers=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Return the options by which a workspace is made whose pipeline takes seconds."""
    return [part for value in QUICK for part in ("--set", value)]
