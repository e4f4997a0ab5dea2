"""What the month of a team puts into the processes that it starts: Python imports this module of PYTHONPATH at once.

Characterizations follow a formula, fits are quick, and what worker processes do is done by the process that would start
them, which saves loading everything again; all else is what people have. Each process reads

TEAM_TRAININGS  a file that gets a line for every characterization: who, architecture, key of the result
TEAM_WHO        who works
TEAM_WORLD      a file that says which networks are good: ``small`` or ``large`` ones
"""

from __future__ import annotations

import functools
import json
import math
import os
import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from replaced import replace_when_loaded


def _formula(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)  # it is pickled by its name
    def measure(job: Any) -> Any:
        from analognas.testing import made_up_row

        line = json.dumps([os.environ["TEAM_WHO"], job.architecture.id, job.key]) + "\n"
        with Path(os.environ["TEAM_TRAININGS"]).open("a") as file:
            file.write(line)
        draw = random.Random(job.architecture.id)
        acc = 10 * math.log(job.architecture.params) + draw.uniform(-0.5, 0.5)
        acc = 100 - acc if Path(os.environ["TEAM_WORLD"]).read_text() == "small" else acc
        times = [f"acc_{label}" for label in ("1s", "1h", "1d", "30d")]
        values = {name + suffix: value for name in times for suffix, value in (("", acc), ("_std", 1.0), ("_sem", 0.5))}
        values |= {"acc_1d_std": 1 + draw.uniform(0, 1), "avm": draw.uniform(0, 5), "avm_std": 0.1, "avm_sem": 0.1}
        return made_up_row(job.architecture, acc_digital=acc, acc_hwa=acc, **values)

    return measure


def _quick(_: Callable[..., Any]) -> Callable[..., Any]:
    def unfitted(params: Any, seed: int, *_: Any, **__: Any) -> Any:
        from analognas.evaluators import XGBoostEvaluator

        return XGBoostEvaluator(method="regressor", folds=2, bootstrap=100, rounds=12, seed=seed)

    return unfitted


def _inside(_: Any) -> Any:
    class Pool:
        """Does at once what it is given, and gives a future that is done."""

        def __init__(self, processes: int) -> None:
            self._processes = processes

        def submit(self, function: Callable[..., Any], item: Any) -> Future[Any]:
            future: Future[Any] = Future()
            try:
                future.set_result(function(item))
            except Exception as error:
                future.set_exception(error)
            return future

        def close(self) -> None:
            """Nothing is to be ended."""

    return Pool


if "TEAM_WORLD" in os.environ:
    replace_when_loaded("analognas.stages.characterize", "measure", _formula)
    replace_when_loaded("analognas.stages.fit", "unfitted", _quick)
    replace_when_loaded("analognas.stages.processes", "Pool", _inside)
