"""``fit``: learn to predict accuracy and robustness from the characterized architectures.

Reads ``data/surrogate.parquet``; writes ``data/evaluator/`` and the out-of-fold predictions.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analognas.errors import InputError, OtherEvaluatorError, ParamsError
from analognas.evaluators.ceiling import ceilings
from analognas.evaluators.evidence import Evidence
from analognas.evaluators.registry import evaluator_class
from analognas.files import file_digest, write_sealed, writing_directory
from analognas.progress import Progress, silent
from analognas.seeds import derive_seed
from analognas.stages import identity, inputs, plots
from analognas.stages.rows import learnable, read_table, usable

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.params import Params
    from analognas.search_spaces import Architecture
    from analognas.stages.summaries import FitSummary
    from analognas.workspace import Paths


def run(params: Params, paths: Paths, progress: Progress = silent, *, expected: str | None = None) -> FitSummary:
    """Fit the evaluator and report how well it ranks architectures it has not seen.

    Args:
        params: of the workspace.
        paths: of the workspace.
        progress: called as it gets on.
        expected: digest of the only evaluator that may take the place of ``data/evaluator/``; None: any.

    Raises:
        InputError: if too few architectures were measured.
        OtherEvaluatorError: if the evaluator is not the expected one; nothing is written then.
    """
    progress(0, 2, "fitting the evaluator")
    everything = read_table(paths, identity.context(params, paths))
    by_id = {architecture.id: architecture for architecture in inputs.architectures(params, paths)}
    missing = [name for name in learnable(everything)["id"] if name not in by_id]
    if missing:
        raise InputError(
            f"{paths.surrogate} holds architecture {missing[0]!r}, which is in neither the sample nor a round: "
            "run `analognas stage characterize`."
        )
    evaluator, report = fitted(params, paths, by_id, everything)
    if expected is not None and (digest := _digest(evaluator)) != expected:
        raise OtherEvaluatorError(
            f"`fit` gives the evaluator {digest[:12]} and not {expected[:12]}, which was compared: {paths.evaluator} "
            "stays as it is."
        )
    progress(1, 2, "writing the evaluator")
    write(evaluator, report, paths)
    progress(2, 2, "evaluator fitted")
    return report


def fitted(
    params: Params, paths: Paths, by_id: Mapping[str, Architecture], everything: pd.DataFrame
) -> tuple[Evaluator, FitSummary]:
    """Return the evaluator that a table of results gives, and its report: the same table, the same bytes.

    Args:
        params: of the workspace.
        paths: of the workspace, where a prior may be.
        by_id: the architectures of the table.
        everything: the table, as ``characterize`` writes it.

    Raises:
        InputError: if too few architectures were measured.
    """
    results, seed = learnable(everything), derive_seed(params.base.seed, "fit")
    evaluator = unfitted(params, seed, paths).fit([by_id[name] for name in results["id"]], results)
    again = usable(everything[everything["role"] == "replicate"])
    if evaluator.evidence_ is not None:  # what was trained again tells how much of a measurement is luck
        rows = pd.concat([usable(results), again[again["id"].isin(results["id"])]], ignore_index=True)
        evaluator.evidence_ = Evidence.of([by_id[name] for name in rows["id"]], rows, evaluator.out_of_fold_)
    made: FitSummary = {**evaluator.report_, "ceiling": ceilings(usable(results), again, seed)}
    return evaluator, made


def write(evaluator: Evaluator, report: FitSummary, paths: Paths) -> None:
    """Write a fitted evaluator with its figures and plots; the evaluator last, so that who finds it finds all."""
    write_sealed(paths.metrics("fit"), report)
    plots.out_of_fold(paths, evaluator.out_of_fold_)
    with writing_directory(paths.evaluator) as folder:  # the stage's own place, whatever a damaged one left there
        evaluator.save(folder)


def _digest(evaluator: Evaluator) -> str:
    """Return the digest that the folder of an evaluator has."""
    with tempfile.TemporaryDirectory() as folder:
        evaluator.save(Path(folder) / "evaluator")
        return file_digest(Path(folder) / "evaluator")


def unfitted(params: Params, seed: int, paths: Paths, *, report: bool = True) -> Evaluator:
    """Return the evaluator that the parameters describe, not fitted.

    Args:
        params: of the workspace.
        seed: of the evaluator.
        paths: of the workspace, where a prior may be.
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
        "prior": identity.prior_place(params, paths),
    }
    known = inspect.signature(cls).parameters
    if params.fit.prior is not None and "prior" not in known:
        raise ParamsError(
            f"fit.prior is {params.fit.prior}, and the evaluator {params.fit.evaluator!r} starts from nothing: set "
            "fit.evaluator to xgboost, or fit.prior to null."
        )
    made: Evaluator = cls(**{name: value for name, value in given.items() if name in known})
    return made
