"""How a run looks in Prefect's list of runs and in its log: a speaking name, tags, progress and warnings.

Prefect names a flow run by two words drawn at random, and knows nothing of what happens within a task. Nothing here
decides a result, and a server that is away costs nothing but the words.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from analognas.errors import AnalogNASWarning
from analognas.orchestration.artifacts import if_it_can_be_shown
from analognas.progress import RunProgress
from analognas.tracking.connection import person
from analognas.tracking.labels import title

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

#: A line of progress within a stage is logged that often, in seconds: each is a call of Prefect's server.
_LOG_SECONDS = 10.0


def labels(paths: Paths, params: Params, commit: str | None) -> tuple[str, list[str]]:
    """Return name and tags of a run: workspace, user, data and commit, by which one finds it among a team's."""
    tags = {
        "workspace": paths.root.name,
        "data": params.dataset.name,
        "user": person(),
        "commit": commit,
    }
    return title(paths, params), ["analognas", *(f"{key}: {value}" for key, value in tags.items() if value)]


def introduce(paths: Paths, params: Params, commit: str | None) -> None:
    """Give the flow run that is going on its name and tags; outside of one there is nothing to do."""
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    name, tags = labels(paths, params, commit)
    with if_it_can_be_shown(), get_client(sync_client=True) as client:
        client.update_flow_run(
            context.flow_run.id,
            name=f"{name}, {context.flow_run.name}",  # its own two words tell two runs of one workspace apart
            tags={*context.flow_run.tags, *tags},
        )


def page() -> str | None:
    """Return the address of the page that shows the flow run which is going on, None without a server that stays."""
    from prefect.context import FlowRunContext
    from prefect.settings import get_current_settings
    from prefect.utilities.urls import url_for

    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not get_current_settings().api.url:
        return None
    return url_for("flow-run", obj_id=context.flow_run.id)  # no call: it is made of the settings


class Logged:
    """Progress that is passed on, and logged with the flow run: the first and last line of a stage, and some between.

    Args:
        progress: whom to pass it on to.
    """

    def __init__(self, progress: RunProgress) -> None:
        self._progress = progress
        self._next: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def __call__(self, stage: str, done: float, total: float, text: str) -> None:
        """Take notice of progress."""
        self._progress(stage, done, total, text)
        now = time.monotonic()
        if text and text != self._said.get(stage) and (now >= self._next.get(stage, 0.0) or done >= total):
            self._next[stage], self._said[stage] = now + _LOG_SECONDS, text
            _log("info", f"{stage}: {text}")


def by_a_schedule() -> bool:
    """Return whether the flow run that is going on is one of a deployment, which nobody looks at."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None


@contextlib.contextmanager
def warnings_logged(kept: list[str]) -> Iterator[None]:
    """Log what this library warns of with the flow run, too, and add it to ``kept``."""
    before = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        if issubclass(category, AnalogNASWarning):
            kept.append(str(message))
            _log("warning", str(message))
        before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def note(text: str) -> None:
    """Log what the user should know with the flow run."""
    _log("warning", text)


def _log(level: str, text: str) -> None:
    from prefect.exceptions import MissingContextError
    from prefect.logging import get_run_logger

    with if_it_can_be_shown(), contextlib.suppress(MissingContextError):
        getattr(get_run_logger(), level)(text)
