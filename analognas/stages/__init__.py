"""The five stages: plain functions ``run(params, paths, progress) -> summary``.

A stage knows nothing of Prefect, DVC or MLflow, reads and writes only what ``dvc.yaml`` declares for it (and the
result store), and gives the same bytes for the same parameters and seed, however many workers ran.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from analognas.errors import ParamsError

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

#: The version of what each stage does. Whoever changes a stage's outputs raises its number (a test notices).
PROTOCOLS = {"sample": 1, "characterize": 3, "fit": 3, "search": 2, "train": 5}

#: The names of the stages, in order.
STAGES = tuple(PROTOCOLS)

#: Called with what was done, what there is to do, and one line about it.
Progress = Callable[[float, float, str], None]


def run_stage(name: str, params: Params, paths: Paths, progress: Progress | None = None) -> dict[str, Any]:
    """Run one stage and return its summary, which is also ``data/metrics/NAME.json``.

    Raises:
        ParamsError: if there is no such stage.
        MismatchError: if the data or the versions are not the recorded ones.
    """
    from analognas.environment import check_environment

    if name not in STAGES:
        raise ParamsError(f"There is no stage {name!r}: the stages are {', '.join(STAGES)}.")
    if not os.environ.get("OMP_NUM_THREADS"):
        # Read when torch and XGBoost load: one thread, because float sums depend on the number.
        os.environ["OMP_NUM_THREADS"] = str(params.base.threads)
    paths.clean()
    check_environment(paths, name)
    stage = import_module(f"analognas.stages.{name}")
    summary: dict[str, Any] = stage.run(params, paths, progress or silent)
    return summary


def silent(done: float, total: float, text: str) -> None:
    """Report nothing."""
