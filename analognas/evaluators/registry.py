"""Evaluators by name, as ``fit.evaluator`` in ``params.yaml`` names them, and stored ones whatever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError, InputError
from analognas.evaluators.base import Evaluator
from analognas.plugins import resolve

#: The evaluators that ship with the library.
EVALUATORS = {
    "xgboost": "analognas.evaluators.xgboost:XGBoostEvaluator",
    "ensemble": "analognas.evaluators.ensemble:EnsembleEvaluator",
    "gaussian_process": "analognas.evaluators.ensemble:GaussianProcessEvaluator",
}


def evaluator_class(name: str) -> type[Evaluator]:
    """Return the evaluator of this name, the library's or an installed package's, or of ``module:Class``.

    Raises:
        InputError: if there is none, naming the nearest known one.
    """
    cls: type[Evaluator] = resolve("evaluator", name, EVALUATORS, InputError, _problem)
    return cls


def _problem(cls: Any) -> str | None:
    if isinstance(cls, type) and issubclass(cls, Evaluator):
        return None
    return "is no Evaluator: derive it from analognas.evaluators.Evaluator."


def load_evaluator(path: Path | str, name: str | None = None) -> Evaluator:
    """Return the evaluator that a directory holds.

    Args:
        path: the directory.
        name: of ``fit.evaluator``; None, or one of ``EVALUATORS``: whichever of these wrote it.

    Raises:
        CorruptFileError: if a file is missing, damaged or of something else.
    """
    if name is not None and name not in EVALUATORS:
        return evaluator_class(name).load(path)
    from analognas.evaluators import storage

    schema, _ = storage.read(Path(path))
    kind = str(schema["kind"]).rpartition(": ")[2]
    if kind not in EVALUATORS:
        raise CorruptFileError(f"{path} holds an evaluator of the kind {kind!r}: load it with its own class.")
    return evaluator_class(kind).load(path)
