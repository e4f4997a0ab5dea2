"""What was measured of architectures, weighed against what the evaluator would say of them unseen.

A measurement is one training: repeated with another seed it gives other figures, and the best of many owes its place to
luck as well. So a measured architecture is worth neither its measurement nor its prediction, but what lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analognas.causes import wrong
from analognas.errors import CorruptFileError
from analognas.evaluators.calibration import Scale
from analognas.evaluators.columns import LIMITS, TARGETS
from analognas.search_spaces.architecture import Architecture, SpaceId

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Half width of a 90 % interval in standard deviations.
_Z90 = 1.645
#: Degrees of freedom from which the luck of a training is taken from those that were trained again.
_LEAST_PAIRS = 3
#: Without them: the share of the out-of-fold error that is taken for luck rather than for the evaluator's ignorance.
_SHARE_OF_LUCK = 0.5


@dataclass(frozen=True)
class Evidence:
    """Measurements of n architectures, each perhaps of several trainings, and what was predicted without them.

    On a target's scale (``calibration.Scale``, where noise is about the same everywhere) a measurement m of one
    training with noise variance v, and an out-of-fold prediction p with error variance e, give the normal posterior

        p + w (m - p),    w = e / (e + v / trainings),    variance w v / trainings

    (James and Stein's shrinkage towards a regression: Efron and Morris, JASA 70, 1975). v is the pooled variance
    between trainings of one architecture, e what is left of the mean square of m - p.

    Args:
        architectures: n, each once.
        measured: means over trainings, on each target's scale, (n,).
        unseen: out-of-fold predictions, on each target's scale, (n,).
        trainings: how many of each, (n,).
        noise: variance between trainings on each target's scale, of every architecture, (n,).
        scales: of the targets.
    """

    architectures: tuple[Architecture, ...]
    measured: Mapping[str, Array]
    unseen: Mapping[str, Array]
    trainings: Array
    noise: Mapping[str, Array]
    scales: Mapping[str, Scale]

    @classmethod
    def of(cls, architectures: Sequence[Architecture], results: pd.DataFrame, unseen: pd.DataFrame) -> Evidence:
        """Return the evidence of measured rows.

        Args:
            architectures: one per row; several rows of one are several trainings of it.
            results: the targets, perhaps their standard errors over programmings (``acc_1d_sem``, ``avm_sem``).
            unseen: out-of-fold predictions of (at least) all architectures: ``id`` and the targets.
        """
        ids = [architecture.id for architecture in architectures]
        names, first, groups, counts = np.unique(ids, return_index=True, return_inverse=True, return_counts=True)
        predicted = unseen.groupby("id")[list(TARGETS)].mean().loc[list(names)]
        measured, before, noise, scales = {}, {}, {}, {}
        for target in TARGETS:
            values = results[target].to_numpy(dtype=np.float64)
            scale = Scale.fit(target, values)
            on_scale = scale.forward(values)
            mean = np.bincount(groups, on_scale) / counts
            measured[target] = mean
            before[target] = scale.forward(predicted[target].to_numpy(dtype=np.float64))
            scales[target] = scale
            error = float(np.mean((mean - before[target]) ** 2))
            luck = _luck(on_scale, mean[groups], len(ids) - len(names), error)
            programming = np.bincount(groups, _of_programming(scale, values, results, target)) / counts
            noise[target] = np.maximum(luck, programming)
        return cls(tuple(architectures[row] for row in first), measured, before, counts.astype(float), noise, scales)

    @property
    def space(self) -> SpaceId | None:
        """Return the space of the architectures, None if there are none."""
        return self.architectures[0].space if self.architectures else None

    def posterior(self, target: str) -> tuple[Array, Array]:
        """Return mean and variance of every architecture's expected value, on the target's scale, (n,) each."""
        noise = self.noise[target] / self.trainings
        error = self.measured[target] - self.unseen[target]
        # What the noise does not explain is the evaluator's; at least a hundredth: a measurement always counts.
        total = float(np.mean(error**2))
        own = max(total - float(np.mean(noise)), 0.01 * total)
        weight = own / np.maximum(own + noise, 1e-300)
        return self.unseen[target] + weight * error, weight * noise

    def table(self) -> pd.DataFrame:
        """Return one row per architecture: ``id``, and for each target what ``Evaluator.predict`` returns of it.

        The interval is for another training, as that of a prediction.
        """
        columns: dict[str, Any] = {"id": [architecture.id for architecture in self.architectures]}
        for target in TARGETS:
            inverse = self.scales[target].inverse
            mean, variance = self.posterior(target)
            std, half = np.sqrt(variance), _Z90 * np.sqrt(variance + self.noise[target])
            columns[target] = inverse(mean)
            columns[f"{target}_uncertainty"] = (inverse(mean + std) - inverse(mean - std)) / 2
            columns[f"{target}_low"], columns[f"{target}_high"] = inverse(mean - half), inverse(mean + half)
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""

        def plain(values: Mapping[str, Array]) -> dict[str, list[float]]:
            return {target: values[target].tolist() for target in TARGETS}

        return {
            "architectures": [architecture.to_dict() for architecture in self.architectures],
            "measured": plain(self.measured),
            "unseen": plain(self.unseen),
            "trainings": self.trainings.tolist(),
            "noise": plain(self.noise),
            "scales": {target: [scale.mean, scale.std] for target, scale in self.scales.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """Return what ``to_dict`` described.

        Raises:
            CorruptFileError: if it is damaged.
        """
        try:
            architectures = tuple(Architecture.from_dict(entry) for entry in data["architectures"])
            arrays = [{target: _array(data[name][target]) for target in TARGETS} for name in _ARRAYS]
            scales = {target: Scale(target, *_array(data["scales"][target]).tolist()) for target in TARGETS}
            trainings = _array(data["trainings"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(f"The evidence of an evaluator is damaged ({wrong(error)}): fit it again.") from None
        if any(
            len(values) != len(architectures) for by_target in arrays for values in (*by_target.values(), trainings)
        ):
            raise CorruptFileError("The evidence of an evaluator is damaged (lengths differ): fit it again.")
        measured, unseen, noise = arrays
        ids = {architecture.id for architecture in architectures}
        spaces = {architecture.space for architecture in architectures}
        if len(ids) < len(architectures) or len(spaces) > 1:
            raise CorruptFileError("The evidence of an evaluator is damaged (an architecture twice): fit it again.")
        if (trainings < 1).any() or any((values < 0).any() for values in noise.values()):
            raise CorruptFileError("The evidence of an evaluator is damaged (a variance below 0): fit it again.")
        return cls(architectures, measured, unseen, trainings, noise, scales)


_ARRAYS = ("measured", "unseen", "noise")


def _array(values: Any) -> Array:
    """Return a list of finite numbers; raises TypeError or ValueError if it is none."""
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or not all(type(value) in (int, float) for value in values) or not np.isfinite(array).all():
        raise ValueError("no list of finite numbers")
    return array


def weighed(predictions: pd.DataFrame, evidence: Evidence | None) -> pd.DataFrame:
    """Return predictions with what is known of measured architectures in place, and a column ``measured`` (bool)."""
    table = predictions.assign(measured=False)
    if evidence is None or not len(table):
        return table
    known = evidence.table().set_index("id")
    mask = table["id"].isin(known.index).to_numpy()
    if mask.any():
        rows = known.loc[table.loc[mask, "id"]]
        for name in known.columns:
            table.loc[mask, name] = rows[name].to_numpy()
        table.loc[mask, "measured"] = True
    return table


def _luck(values: Array, means: Array, freedom: int, error: float) -> float:
    """Return the variance between trainings of one architecture; a share of the error where too few were repeated."""
    if freedom < _LEAST_PAIRS:
        return _SHARE_OF_LUCK * error
    return float(np.sum((values - means) ** 2)) / freedom


def _of_programming(scale: Scale, values: Array, results: pd.DataFrame, target: str) -> Array:
    """Return the squared standard error over programmings, on the scale; 0 where it is not known."""
    name = f"{target}_sem"
    if name not in results:
        return np.zeros(len(values))
    sem = np.nan_to_num(results[name].to_numpy(dtype=np.float64))
    low, high = (scale.forward(np.clip(values + step, *LIMITS[target])) for step in (-sem, sem))
    return np.asarray(((high - low) / 2) ** 2)
