"""One stage of a workspace, run by its name."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from analognas.errors import ParamsError
from analognas.progress import Progress, silent
from analognas.stages.protocols import STAGES

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.stages.summaries import Summary
    from analognas.workspace import Paths


def limit_threads(params: Params) -> None:
    """Set how many threads numerical libraries use, which float sums depend on, before they load; the user's wins."""
    if not os.environ.get("OMP_NUM_THREADS"):
        os.environ["OMP_NUM_THREADS"] = str(params.base.threads)


def run_stage(
    name: str, params: Params, paths: Paths, progress: Progress | None = None, *, expected: str | None = None
) -> Summary:
    """Run one stage and return its summary, which is also ``data/metrics/NAME.json``.

    Args:
        name: of the stage.
        params: of the workspace.
        paths: of the workspace.
        progress: called as it gets on.
        expected: of ``fit``: digest of the only evaluator that it may write; None: any.

    Raises:
        OtherEvaluatorError: if ``fit`` gives another evaluator than the expected one.
        ParamsError: if there is no such stage.
        MismatchError: if the data or the versions are not the recorded ones.
    """
    from analognas.stages.identity import chip, prior
    from analognas.stages.recorded import check_environment

    if name not in STAGES:
        raise ParamsError(f"There is no stage {name!r}: the stages are {', '.join(STAGES)}.")
    limit_threads(params)
    paths.clean()
    check_environment(paths, name, chip(params.hardware), prior(params, paths) if name == "fit" else None)
    stage = import_module(f"analognas.stages.{name}")
    only = {} if expected is None else {"expected": expected}
    summary: Summary = stage.run(params, paths, progress or silent, **only)
    return summary
