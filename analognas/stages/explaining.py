"""One architecture explained: genes, size, what it costs, what is predicted of it and why, what was measured of it.

No stage: nothing is written, and nothing is measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analognas.errors import AnalogNASError, CorruptFileError, InputError, SpaceError
from analognas.evaluators.base import Evaluator, assessed
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.registry import load_evaluator
from analognas.evaluators.xgboost import XGBoostEvaluator
from analognas.files import read_sealed
from analognas.folders import read_folder
from analognas.hardware.cost import cost, tiles
from analognas.search_spaces import Architecture, ConfigSpace
from analognas.search_spaces.family import family
from analognas.stages import identity, inputs
from analognas.stages.rows import read_table

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

_REMEDY = "`analognas run` writes it"
_ID = re.compile(r"[0-9a-f]{4,16}")
#: Figures of a characterization that are told.
_MEASURED = ("acc_digital", "acc_1d", "acc_1d_std", "avm", "avm_std")


def explain(params: Params, paths: Paths, asked: str | None = None) -> dict[str, Any]:
    """Return what is known of an architecture, as JSON values.

    Args:
        params: of the workspace.
        paths: the workspace.
        asked: its id or the first digits of it, or its genes as a JSON object; None: the winner.

    Returns:
        ``id``, ``params``, ``tiles``, ``genes`` (name, value, what it is), ``cost`` (of an inference, or None) with
        ``chip`` or ``problem``, ``prediction`` (by target, with uncertainty and 90 % interval, and whether a
        measurement counts in it) or None with ``evaluator`` saying why, ``contributions`` (by target; None if the
        evaluator gives none), ``measured`` (one entry for each training) and ``winner`` (figures on test, or None).

    Raises:
        InputError: if there is no such architecture.
        CorruptFileError: if a file is damaged.
    """
    space = inputs.space(params, paths)
    architecture = find(params, paths, space, asked)
    known = family(space.family)
    genes = [
        {"name": name, "value": value, "meaning": known.meaning(name)} for name, value in architecture.genes.items()
    ]
    told: dict[str, Any] = {
        "id": architecture.id,
        "space": space.name,
        "genes": genes,
        "params": architecture.params,
        "tiles": tiles(architecture.structure, params.hardware.tile_shape),
        "in_space": architecture in space,
        **_cost(architecture, params),
        **_prediction(architecture, params, paths, space),
        "measured": _measured(architecture, paths),
        "winner": _as_winner(architecture, paths),
    }
    return told


def of_sample(params: Params, paths: Paths, target: str) -> pd.DataFrame:
    """Return what each feature contributes to the predictions of the architectures that were characterized.

    Args:
        params: of the workspace.
        paths: the workspace.
        target: ``acc_1d``, ``avm`` or ``acc_1d_std``.

    Returns:
        One row for each architecture and feature that differs among them: ``id``, ``feature``, ``value``, ``points``
        (see ``Contributions``). No rows if the evaluator tells none, is of other data or another chip, or is not there.
    """
    columns = ["id", "feature", "value", "points"]
    try:
        evaluator = _evaluator(params, paths, inputs.space(params, paths))
        architectures = inputs.architectures(params, paths)
    except AnalogNASError:
        return pd.DataFrame(columns=columns)
    if not isinstance(evaluator, XGBoostEvaluator) or not architectures:
        return pd.DataFrame(columns=columns)
    names = np.array(evaluator.feature_names())
    values = evaluator.schema_.transform(architectures)
    points = evaluator.explain(architectures, (target,))[target].points
    differs = np.ptp(values, axis=0) > 0
    count = int(differs.sum())
    return pd.DataFrame(
        {
            "id": np.repeat([architecture.id for architecture in architectures], count),
            "feature": np.tile(names[differs], len(architectures)),
            "value": values[:, differs].ravel(),
            "points": points[:, differs].ravel(),
        }
    )


def find(params: Params, paths: Paths, space: ConfigSpace, asked: str | None) -> Architecture:
    """Return the architecture that somebody means; see ``explain``, also for what it raises."""
    if asked is None:
        return _winner(paths)
    if asked.lstrip().startswith("{"):
        return _of_genes(asked, space)
    if not _ID.fullmatch(asked):
        raise InputError(
            f"{asked!r} names no architecture: give an id (16 digits, or the first of them), or genes as JSON, e.g. "
            "'{\"M\": 1, ...}'."
        )
    named = {each.id: each for each in _known(params, paths) if each.id.startswith(asked)}
    if len(named) == 1:
        return next(iter(named.values()))
    if named:
        raise InputError(
            f"{len(named)} architectures begin with {asked} ({', '.join(sorted(named))}): give more digits."
        )
    raise InputError(
        f"No architecture of this workspace begins with {asked} (winner, candidates, sample, rounds): give its genes "
        "as JSON, since an id does not tell them."
    )


def _winner(paths: Paths) -> Architecture:
    _, files = read_folder(paths.winner, "winner.json", remedy=_REMEDY)
    return Architecture.from_dict(json.loads(files["architecture.json"]))


def _of_genes(text: str, space: ConfigSpace) -> Architecture:
    try:
        genes = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f'{text!r} is no JSON: write the genes as {{"M": 1, ...}}.') from None
    try:
        return space.architecture(genes)
    except SpaceError as error:
        raise InputError(f"{error} See `analognas spaces`.") from None


def _known(params: Params, paths: Paths) -> Iterator[Architecture]:
    """Yield the architectures that files of the workspace name; what has not run yet names none."""
    with suppress(CorruptFileError):
        yield _winner(paths)
    with suppress(CorruptFileError):
        yield from [candidate.architecture for candidate in inputs.candidates(params, paths)]
    with suppress(CorruptFileError):
        yield from inputs.architectures(params, paths)


def _cost(architecture: Architecture, params: Params) -> dict[str, Any]:
    try:
        chip = params.cost.of(params.hardware)
        return {"chip": chip.to_dict(), "cost": cost(architecture, chip), "problem": None}
    except InputError as error:  # there is no such chip, or it has other tiles
        return {"chip": None, "cost": None, "problem": str(error)}


def _prediction(architecture: Architecture, params: Params, paths: Paths, space: ConfigSpace) -> dict[str, Any]:
    if not paths.evaluator.is_dir():
        return {"prediction": None, "contributions": None, "evaluator": "There is no evaluator yet: `analognas run`."}
    try:
        evaluator = _evaluator(params, paths, space)
        row = assessed(evaluator, [architecture]).to_dict("records")[0]
    except AnalogNASError as error:  # of other data, or another chip, than the parameters now say
        return {"prediction": None, "contributions": None, "evaluator": str(error)}
    prediction = {
        target: {
            "value": row[target],
            **{name: row[f"{target}_{name}"] for name in ("uncertainty", "low", "high")},
        }
        for target in TARGETS
    }
    return {
        "prediction": prediction | {"measured": bool(row["measured"])},
        "contributions": _contributions(architecture, evaluator),
        "evaluator": type(evaluator).__name__,
    }


def _evaluator(params: Params, paths: Paths, space: ConfigSpace) -> Evaluator:
    """Return the workspace's evaluator; raises AnalogNASError if it is of other data or another chip."""
    evaluator = load_evaluator(paths.evaluator, params.fit.evaluator)
    evaluator.check(space=space.name, **identity.context(params, paths))
    return evaluator


def _contributions(architecture: Architecture, evaluator: Any) -> dict[str, Any] | None:
    if not isinstance(evaluator, XGBoostEvaluator):
        return None
    names = evaluator.feature_names()
    values = evaluator.schema_.transform([architecture])[0].tolist()
    told = {}
    for target, known in evaluator.explain([architecture]).items():
        rows = [
            {"feature": name, "value": value, "points": points, "on_scale": on_scale}
            for name, value, points, on_scale in zip(
                names, values, known.points[0].tolist(), known.on_scale[0].tolist(), strict=True
            )
        ]
        rows.sort(key=lambda row: -abs(row["on_scale"]))
        told[target] = {
            "value": float(known.predictions[0]),
            "base": known.base,
            "base_on_scale": known.base_on_scale,
            "features": rows,
        }  # fmt: skip
    return told


def _measured(architecture: Architecture, paths: Paths) -> list[dict[str, Any]]:
    """Return the figures of each time that it was characterized, on validation."""
    try:
        table = read_table(paths)
    except CorruptFileError:  # nothing was characterized yet
        return []
    rows = table[table["id"] == architecture.id].to_dict("records")
    return [
        {
            "role": row["role"], "round": int(row["round"]), "status": row["status"], "reason": row["reason"],
            "repeats": int(row["repeats"]),
            **{name: None if row.get(name) != row.get(name) else row.get(name) for name in _MEASURED},
        }
        for row in rows
    ]  # fmt: skip


def _as_winner(architecture: Architecture, paths: Paths) -> dict[str, Any] | None:
    """Return its figures on test if it is the winner."""
    try:
        winner = read_sealed(paths.metrics("train"), remedy=_REMEDY)["winner"]
    except (CorruptFileError, KeyError):
        return None
    return dict(winner) if winner.get("id") == architecture.id else None
