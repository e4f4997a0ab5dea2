"""Evaluators by name, as ``fit.evaluator`` in ``params.yaml`` names them, and stored ones whatever they are."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from analognas.errors import CorruptFileError, InputError
from analognas.evaluators.base import Evaluator

#: The evaluators that ship with the library.
EVALUATORS = {
    "xgboost": "analognas.evaluators.xgboost:XGBoostEvaluator",
    "ensemble": "analognas.evaluators.ensemble:EnsembleEvaluator",
    "gaussian_process": "analognas.evaluators.ensemble:GaussianProcessEvaluator",
}


def evaluator_class(name: str) -> type[Evaluator]:
    """Return the evaluator of this name; ``module:Class`` names one that lives elsewhere.

    Raises:
        InputError: if there is none, naming the nearest known one.
    """
    module, found, attribute = EVALUATORS.get(name, name).partition(":")
    if not found:
        near = difflib.get_close_matches(name, EVALUATORS, n=1, cutoff=0)[0]
        raise InputError(f"unknown evaluator {name!r}: did you mean {near}? A class of your own is module:Class.")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"evaluator {name} cannot be imported ({error}): check the module and the class.") from None
    if not (isinstance(cls, type) and issubclass(cls, Evaluator)):
        raise InputError(f"evaluator {name} is no Evaluator: derive it from analognas.evaluators.Evaluator.")
    return cls


def load_evaluator(path: Path | str, name: str | None = None) -> Evaluator:
    """Return the evaluator that a directory holds.

    Args:
        path: the directory.
        name: of ``fit.evaluator``, for one of the user's own; None: whichever of ``EVALUATORS`` wrote it.

    Raises:
        CorruptFileError: if a file is missing, damaged or of something else.
    """
    if name is not None:
        return evaluator_class(name).load(path)
    from analognas.evaluators.storage import read_folder

    schema, _ = read_folder(Path(path))
    kind = str(schema["kind"]).rpartition(": ")[2]
    if kind not in EVALUATORS:
        raise CorruptFileError(f"{path} holds an evaluator of the kind {kind!r}: load it with its own class.")
    return evaluator_class(kind).load(path)
