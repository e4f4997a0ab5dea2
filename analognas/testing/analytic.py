"""An analytic search problem with a known optimum: what a search strategy can be held against.

It needs no data and no training, and it keeps the shape of the real problem: accuracy and its spread have a
best architecture, small networks drift more, and some networks are dead.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from analognas.evaluators.base import Context, Evaluator

if TYPE_CHECKING:
    from analognas.evaluators.reporting import Report
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace
    from analognas.search_spaces.genes import Gene

_Z90 = 1.645  # half width of a 90 % interval in standard deviations
_UNCERTAINTY = {"acc_1d": 1.0, "avm": 0.3, "acc_1d_std": 0.2}
_CEILING, _FALL = 95.0, 90.0
_BEST_STD, _RISE = 0.5, 5.0
_WORST_AVM = 12.0


class AnalyticEvaluator(Evaluator):
    """Predicts by formula; the architecture ``target`` of the space is the best one, and the only one.

    With d in [0, 1] the mean over genes of the squared distance to the target's gene (as a share of the
    gene's range; 1 for another category and for a gene that only one of the two has) plus the mean product
    of neighbouring signed distances, which makes it a tilted valley:

        acc_1d = 95 - 90 d,   acc_1d_std = 0.5 + 5 d,   avm = 12 / (1 + log10(params / smallest params))

    so without constraints on size and variation both objectives are largest at the target, and a limit on
    either moves the optimum: ``optimum`` finds it by enumeration where the space is small.

    Args:
        space: where to search.
        seed: of the target, drawn from the space.
    """

    def __init__(self, space: ConfigSpace, seed: int = 0) -> None:
        self.space = space
        self.context_ = Context(space=space.name)
        self.report_: Report = {}
        self.target = space.sample(1, seed=seed)[0]
        self._smallest = space.smallest().params
        self._positions = {gene.name: _positions(gene.values) for gene in space.hyperparameters}
        self._categorical = {gene.name for gene in space.hyperparameters if gene.type == "categorical"}

    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Return self: there is nothing to fit."""
        return self

    def save(self, path: Path | str) -> None:
        """Refuse: a formula is not stored."""
        raise NotImplementedError("an AnalyticEvaluator is made from its space, not stored")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Refuse: a formula is not stored."""
        raise NotImplementedError("an AnalyticEvaluator is made from its space, not stored")

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return the values of the formula, one row each, in the columns of every evaluator."""
        distances = np.array([self.distance(architecture) for architecture in architectures])
        sizes = np.array([architecture.params for architecture in architectures])
        table = pd.DataFrame({"id": [architecture.id for architecture in architectures]})
        table["acc_1d"] = _CEILING - _FALL * distances
        table["avm"] = _WORST_AVM / (1 + np.log10(sizes / self._smallest))
        table["acc_1d_std"] = _BEST_STD + _RISE * distances
        for name, uncertainty in _UNCERTAINTY.items():
            table[f"{name}_uncertainty"] = uncertainty
            table[f"{name}_low"] = table[name] - _Z90 * uncertainty
            table[f"{name}_high"] = table[name] + _Z90 * uncertainty
        table["acc_1d_score"] = -distances
        return table

    def distance(self, architecture: Architecture) -> float:
        """Return how far an architecture is from the target: 0 for the target, at most 1."""
        genes, target = architecture.genes, self.target.genes
        gaps = [self._gap(name, genes, target) for name in self._positions if name in genes or name in target]
        squares = sum(gap * gap for gap in gaps)
        # |gaps[i] * gaps[i + 1]| <= half the sum of their squares: only the target has distance 0.
        tilt = sum(left * right for left, right in itertools.pairwise(gaps))
        return (squares + 0.5 * tilt) / (1.5 * len(gaps))

    def optimum(self, architectures: Sequence[Architecture], k: float = 1.0) -> Architecture:
        """Return which of these has the largest ``acc_1d - k * acc_1d_std``, of equal ones the smallest."""
        values = self.predict(architectures)
        objective = (values["acc_1d"] - k * values["acc_1d_std"]).tolist()
        ranked = sorted(
            zip(architectures, objective, strict=True), key=lambda pair: (-pair[1], pair[0].params, pair[0].id)
        )
        return ranked[0][0]

    def _gap(self, name: str, genes: Mapping[str, Gene], target: Mapping[str, Gene]) -> float:
        if name not in genes or name not in target:
            return 1.0
        if name in self._categorical:
            return float(genes[name] != target[name])
        positions = self._positions[name]
        return positions[genes[name]] - positions[target[name]]


def enumerate_space(space: ConfigSpace) -> Iterator[Architecture]:
    """Return every architecture of a space, each once; for small spaces only.

    A space with a parameter budget is enumerated with the architectures that exceed it.
    """
    chosen: list[dict[str, Gene]] = [{}]
    for gene in space.hyperparameters:
        longer: list[dict[str, Gene]] = []
        for genes in chosen:
            if gene.active(genes):
                longer += [{**genes, gene.name: value} for value in gene.values]  # noqa: PD011 - of a gene, not a frame
            else:
                longer.append(genes)
        chosen = longer
    return map(space.architecture, chosen)


def _positions(values: Sequence[Gene]) -> dict[Gene, float]:
    """Return the place of every value in its range, 0 to 1; by rank where values are not numbers."""
    numbers = [value for value in values if isinstance(value, int)]
    if len(numbers) < len(values):
        numbers = list(range(len(values)))
    spread = max(1, numbers[-1] - numbers[0])
    return {value: (number - numbers[0]) / spread for value, number in zip(values, numbers, strict=True)}
