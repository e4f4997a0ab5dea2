"""``fit``: learn to predict accuracy and robustness from the characterized architectures.

Reads ``data/surrogate.parquet``; writes ``data/evaluator/`` and the out-of-fold predictions.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pandas as pd

from analognas.errors import InputError
from analognas.evaluators.ceiling import ceilings
from analognas.evaluators.evidence import Evidence
from analognas.evaluators.registry import evaluator_class
from analognas.files import read_parquet, write_sealed, writing_directory
from analognas.progress import Progress, silent
from analognas.seeds import derive_seed
from analognas.stages import inputs, plots
from analognas.stages.rows import learnable, usable

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.params import Params
    from analognas.workspace import Paths


def run(params: Params, paths: Paths, progress: Progress = silent) -> dict[str, Any]:
    """Fit the evaluator and report how well it ranks architectures it has not seen.

    Raises:
        InputError: if too few architectures were measured.
    """
    progress(0, 2, "fitting the evaluator")
    everything = read_parquet(paths.surrogate, remedy="run `analognas stage characterize`")
    results = learnable(everything)
    by_id = {architecture.id: architecture for architecture in inputs.architectures(params, paths)}
    try:
        architectures = [by_id[name] for name in results["id"]]
    except KeyError as error:
        raise InputError(
            f"{paths.surrogate} holds architecture {error}, which is in neither the sample nor a round: "
            "run `analognas stage characterize`."
        ) from None
    evaluator = unfitted(params, derive_seed(params.base.seed, "fit")).fit(architectures, results)
    again = usable(everything[everything["role"] == "replicate"])
    if evaluator.evidence_ is not None:  # what was trained again tells how much of a measurement is luck
        rows = pd.concat([usable(results), again[again["id"].isin(results["id"])]], ignore_index=True)
        evaluator.evidence_ = Evidence.of([by_id[name] for name in rows["id"]], rows, evaluator.out_of_fold_)
    progress(1, 2, "writing the evaluator")
    with writing_directory(paths.evaluator) as folder:  # the stage's own place, whatever a damaged one left there
        evaluator.save(folder)
    seed = derive_seed(params.base.seed, "fit")
    report = {**evaluator.report_, "ceiling": ceilings(usable(results), again, seed)}
    write_sealed(paths.metrics("fit"), report)
    plots.out_of_fold(paths, evaluator.out_of_fold_)
    progress(2, 2, "evaluator fitted")
    return report


def unfitted(params: Params, seed: int, *, report: bool = True) -> Evaluator:
    """Return the evaluator that the parameters describe, not fitted.

    Args:
        params: of the workspace.
        seed: of the evaluator.
        report: whether a fit is to be cross-validated, where the evaluator leaves that open.

    Raises:
        InputError: if it is unknown.
    """
    cls = evaluator_class(params.fit.evaluator)
    given = {
        "method": params.fit.method,
        "folds": params.fit.folds,
        "bootstrap": params.fit.bootstrap,
        "tile_size": params.hardware.tile_shape.plain(),
        "seed": seed,
        "report": report,
    }
    known = inspect.signature(cls).parameters
    made: Evaluator = cls(**{name: value for name, value in given.items() if name in known})
    return made
