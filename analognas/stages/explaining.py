"""One architecture explained: genes, size, what it costs, what is predicted of it and why, what was measured of it.

No stage: nothing is written, and nothing is measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

from analognas.errors import AnalogNASError, CorruptFileError, InputError, SpaceError
from analognas.evaluators.base import Evaluator, assessed
from analognas.evaluators.registry import load_evaluator
from analognas.evaluators.xgboost import XGBoostEvaluator
from analognas.files import read_sealed
from analognas.folders import read_folder
from analognas.hardware.cost import cost, tiles
from analognas.search_spaces import Architecture, ConfigSpace
from analognas.search_spaces.family import family
from analognas.search_spaces.genes import Gene
from analognas.stages import identity, inputs
from analognas.stages.rows import read_table

if TYPE_CHECKING:
    from analognas.hardware.chips import ChipDescription
    from analognas.params import Params
    from analognas.training.columns import ArchitectureFigures
    from analognas.workspace import Paths

_REMEDY = "`analognas run` writes it"
_ID = re.compile(r"[0-9a-f]{4,16}")


class ToldGene(TypedDict):
    """A gene, its value, and what it is."""

    name: str
    value: Gene
    meaning: str


class ToldPrediction(TypedDict):
    """What is predicted of one target, in its unit, with its uncertainty and 90 % interval."""

    value: float
    uncertainty: float
    low: float
    high: float


class ToldPredictions(TypedDict):
    """What is predicted of each target, and whether a measurement of the architecture counts in it."""

    acc_1d: ToldPrediction
    avm: ToldPrediction
    acc_1d_std: ToldPrediction
    measured: bool


class ToldFeature(TypedDict):
    """A feature, its value, and what it contributes: in the target's unit, and on the scale where they add up."""

    feature: str
    value: float
    points: float
    on_scale: float


class ToldContributions(TypedDict):
    """A prediction as what is predicted of nothing known and what each feature contributes, most first."""

    value: float
    base: float
    base_on_scale: float
    features: list[ToldFeature]


class ToldMeasurement(TypedDict):
    """One characterization, on validation: percent and percentage points, None where it has none."""

    role: str
    round: int
    status: str
    reason: str
    repeats: int
    acc_digital: float | None
    acc_1d: float | None
    acc_1d_std: float | None
    avm: float | None
    avm_std: float | None


class ToldCost(TypedDict):
    """What an inference costs (columns of ``hardware.cost.costs``) and on which chip, or why that cannot be told."""

    chip: ChipDescription | None
    cost: dict[str, float] | None
    problem: str | None


class ToldEvaluation(TypedDict):
    """What is predicted, why (by target; None if the evaluator does not tell), and by which evaluator.

    Without a prediction ``evaluator`` says why there is none.
    """

    prediction: ToldPredictions | None
    contributions: dict[str, ToldContributions] | None
    evaluator: str


class Explanation(ToldCost, ToldEvaluation):
    """What is known of an architecture, as JSON values; ``winner`` has its figures on test if it is the winner."""

    id: str
    space: str
    genes: list[ToldGene]
    params: int
    tiles: int
    in_space: bool
    measured: list[ToldMeasurement]
    winner: ArchitectureFigures | None


def explain(params: Params, paths: Paths, asked: str | None = None) -> Explanation:
    """Return what is known of an architecture.

    Args:
        params: of the workspace.
        paths: the workspace.
        asked: its id or the first digits of it, or its genes as a JSON object; None: the winner.

    Raises:
        InputError: if there is no such architecture.
        CorruptFileError: if a file is damaged.
    """
    space = inputs.space(params, paths)
    architecture = find(params, paths, space, asked)
    known = family(space.family)
    return {
        "id": architecture.id,
        "space": space.name,
        "genes": [
            {"name": name, "value": value, "meaning": known.meaning(name)} for name, value in architecture.genes.items()
        ],
        "params": architecture.params,
        "tiles": tiles(architecture.structure, params.hardware.tile_shape),
        "in_space": architecture in space,
        **_cost(architecture, params),
        **_prediction(architecture, params, paths, space),
        "measured": _measured(architecture, paths),
        "winner": _as_winner(architecture, paths),
    }


def of_sample(params: Params, paths: Paths, target: str) -> pd.DataFrame:
    """Return what each feature contributes to the predictions of the architectures that were characterized.

    Args:
        params: of the workspace.
        paths: the workspace.
        target: ``acc_1d``, ``avm`` or ``acc_1d_std``.

    Returns:
        One row for each architecture and feature that differs among them: ``id``, ``feature``, ``value``, ``points``
        (see ``Contributions``). No rows if the evaluator tells none, is not there, or is of other data or another chip
        than what was characterized (which parameters have another value since does not matter: this is of then).
    """
    columns = ["id", "feature", "value", "points"]
    try:
        evaluator = load_evaluator(paths.evaluator, params.fit.evaluator)
        evaluator.check(space=inputs.space(params, paths).name, **_characterized_for(paths))
        architectures = inputs.architectures(params, paths)
    except AnalogNASError:
        return pd.DataFrame(columns=columns)
    if not isinstance(evaluator, XGBoostEvaluator) or not architectures:
        return pd.DataFrame(columns=columns)
    names = np.array(evaluator.feature_names())
    values = evaluator.features(architectures)
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


def _characterized_for(paths: Paths) -> dict[str, str]:
    """Return the ids that the characterized architectures have in common, see ``identity.context``.

    That of the chip is read, not computed, which would load torch and aihwkit: seconds, for a page of finished work.
    """
    table = read_table(paths)
    return {name: str(table[name].iloc[0]) for name in ("dataset", "hardware", "protocol")} if len(table) else {}


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
        return inputs.architecture_of(space, genes)
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


def _cost(architecture: Architecture, params: Params) -> ToldCost:
    try:
        chip = params.cost.of(params.hardware)
        return {"chip": chip.to_dict(), "cost": cost(architecture, chip), "problem": None}
    except InputError as error:  # there is no such chip, or it has other tiles
        return {"chip": None, "cost": None, "problem": str(error)}


def _prediction(architecture: Architecture, params: Params, paths: Paths, space: ConfigSpace) -> ToldEvaluation:
    if not paths.evaluator.is_dir():
        return {"prediction": None, "contributions": None, "evaluator": "There is no evaluator yet: `analognas run`."}
    try:
        evaluator = _evaluator(params, paths, space)
        row = assessed(evaluator, [architecture]).to_dict("records")[0]
    except AnalogNASError as error:  # of other data, or another chip, than the parameters now say
        return {"prediction": None, "contributions": None, "evaluator": str(error)}

    def told(target: str) -> ToldPrediction:
        uncertainty, low, high = (row[f"{target}_{name}"] for name in ("uncertainty", "low", "high"))
        return {"value": row[target], "uncertainty": uncertainty, "low": low, "high": high}

    return {
        "prediction": {
            "acc_1d": told("acc_1d"), "avm": told("avm"), "acc_1d_std": told("acc_1d_std"),
            "measured": bool(row["measured"]),
        },
        "contributions": _contributions(architecture, evaluator),
        "evaluator": type(evaluator).__name__,
    }  # fmt: skip


def _evaluator(params: Params, paths: Paths, space: ConfigSpace) -> Evaluator:
    """Return the workspace's evaluator; raises AnalogNASError if it is of other data or another chip."""
    evaluator = load_evaluator(paths.evaluator, params.fit.evaluator)
    evaluator.check(space=space.name, **identity.context(params, paths))
    return evaluator


def _contributions(architecture: Architecture, evaluator: Evaluator) -> dict[str, ToldContributions] | None:
    if not isinstance(evaluator, XGBoostEvaluator):
        return None
    names = evaluator.feature_names()
    values = evaluator.features([architecture])[0].tolist()
    told: dict[str, ToldContributions] = {}
    for target, known in evaluator.explain([architecture]).items():
        rows: list[ToldFeature] = [
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


def _measured(architecture: Architecture, paths: Paths) -> list[ToldMeasurement]:
    """Return the figures of each time that it was characterized, on validation."""
    try:
        table = read_table(paths)
    except CorruptFileError:  # nothing was characterized yet
        return []
    rows = table[table["id"] == architecture.id].to_dict("records")

    def figure(row: Mapping[Any, Any], name: str) -> float | None:
        return None if row.get(name) != row.get(name) else row.get(name)

    return [
        {
            "role": row["role"],
            "round": int(row["round"]),
            "status": row["status"],
            "reason": row["reason"],
            "repeats": int(row["repeats"]),
            "acc_digital": figure(row, "acc_digital"),
            "acc_1d": figure(row, "acc_1d"),
            "acc_1d_std": figure(row, "acc_1d_std"),
            "avm": figure(row, "avm"),
            "avm_std": figure(row, "avm_std"),
        }
        for row in rows
    ]


def _as_winner(architecture: Architecture, paths: Paths) -> ArchitectureFigures | None:
    """Return its figures on test if it is the winner."""
    try:
        winner: ArchitectureFigures = read_sealed(paths.metrics("train"), remedy=_REMEDY)["winner"]
    except (CorruptFileError, KeyError):
        return None
    return winner if winner.get("id") == architecture.id else None
