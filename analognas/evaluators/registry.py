"""Evaluators by name, as ``fit.evaluator`` in ``params.yaml`` names them, and stored ones whatever they are."""

from __future__ import annotations

import difflib
from pathlib import Path

from analognas.errors import CorruptFileError, InputError
from analognas.evaluators.base import Evaluator
from analognas.plugins import imported, plugins, target

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
    where = EVALUATORS.get(name) or target("evaluator", name)
    if where is None:
        known = [*EVALUATORS, *(one.name for one in plugins("evaluator"))]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        raise InputError(f"unknown evaluator {name!r}: did you mean {near}? A class of your own is module:Class.")
    try:
        cls = imported(where)
    except Exception as error:  # a module of the user's own may fail in any way
        raise InputError(f"evaluator {name} cannot be imported ({error}): check the module and the class.") from None
    if not (isinstance(cls, type) and issubclass(cls, Evaluator)):
        raise InputError(f"evaluator {name} is no Evaluator: derive it from analognas.evaluators.Evaluator.")
    return cls


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
    from analognas.evaluators.storage import read_folder

    schema, _ = read_folder(Path(path))
    kind = str(schema["kind"]).rpartition(": ")[2]
    if kind not in EVALUATORS:
        raise CorruptFileError(f"{path} holds an evaluator of the kind {kind!r}: load it with its own class.")
    return evaluator_class(kind).load(path)
