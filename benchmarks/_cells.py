"""AnalogNAS-Bench as a yardstick: how its cells are split, and what they are really worth.

The labels carry the luck of one training and one programming, and cells of one function are twins. So a split is by
function (``function_id``), one cell stands for each, and nothing that was measured of a test cell is an input.

A fifth of the functions is set aside (``set_aside.txt``): they were drawn before any feature, model or setting was
chosen, and all choices were made on the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

TARGETS = ("acc_1d", "avm", "acc_1d_std")

# Variance of labels within a function, and of a class-disjoint model's error, percentage points squared, both among
# good cells: what shrinks a class mean. Measured as `latent_values` says.
_WITHIN, _MODEL = 1.5, 0.41


@dataclass(frozen=True)
class Cells:
    """The table with its architectures, and which functions are set aside."""

    table: pd.DataFrame
    architectures: list[Any]
    set_aside: np.ndarray[Any, Any]
    """Whether a cell is of the fifth; (cells,)."""

    @classmethod
    def load(cls) -> Cells:
        """Return the published table."""
        from analognas.search_spaces.nasbench201 import AnalogNASBench, NASBench201Space
        from analognas.search_spaces.nasbench201.family import EDGE_GENES

        table = AnalogNASBench().table
        space = NASBench201Space()
        genes = table[list(EDGE_GENES)].to_numpy()
        architectures = [space.architecture(dict(zip(EDGE_GENES, map(int, row), strict=True))) for row in genes]
        lines = (Path(__file__).parent / "set_aside.txt").read_text().splitlines()
        listed = {code for line in lines if not line.startswith("#") for code in line.split()}
        aside = np.array(["".join(map(str, row)) in listed for row in genes])
        return cls(table, architectures, aside)

    def split(self, seed: int, train: int, test: int, final: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return the cells to learn from and to test on: one of each function, no function in both.

        Args:
            seed: of functions and of the cell that stands for each.
            train: how many to learn from; never of the fifth.
            test: how many to test on, at most.
            final: test on the fifth that was set aside.
        """
        rng = np.random.default_rng([20_24, seed])
        functions = self.table["function_id"].to_numpy()
        open_ = np.setdiff1d(functions[~self.set_aside], functions[self.set_aside])
        order = rng.permutation(open_)
        tested = rng.permutation(np.unique(functions[self.set_aside])) if final else order[train:]
        usable = self.set_aside if final else ~self.set_aside
        members = {name: rows[usable[rows]] for name, rows in self.table.groupby("function_id").indices.items()}
        own = self.table.groupby("function_id").indices
        learn = np.array([rng.choice(own[name]) for name in order[:train]])
        return learn, np.array([rng.choice(members[name]) for name in tested[:test]])


def latent_values(cells: Cells) -> np.ndarray[Any, Any]:
    """Return what each cell's function is worth in 1-day accuracy, percent; (cells,).

    The mean label of its cells, shrunk towards a model that has seen no cell of it (boosted trees on the cell
    features, five folds of functions): the fewer cells, the more. The variances are those of the best functions.
    """
    import xgboost as xgb

    from analognas.evaluators.features import FeatureSchema

    schema = FeatureSchema.learn(cells.architectures[:1], 256)
    features = schema.transform(cells.architectures)
    labels = cells.table["acc_1d"].to_numpy()
    names, function = np.unique(cells.table["function_id"].to_numpy(), return_inverse=True)
    fold = np.random.default_rng(0).integers(5, size=len(names))[function]
    predicted = np.empty(len(labels))
    settings = {"max_depth": 6, "eta": 0.05, "subsample": 0.8, "colsample_bytree": 0.5, "nthread": 1, "seed": 0}
    for number in range(5):
        seen = fold != number
        data = xgb.DMatrix(features[seen], labels[seen], nthread=1)
        booster = xgb.train(settings, data, 400)
        predicted[~seen] = booster.predict(xgb.DMatrix(features[~seen], nthread=1))
    count = np.bincount(function)
    mean = np.bincount(function, labels) / count
    model = np.bincount(function, predicted) / count
    weight = count / _WITHIN
    return np.asarray(((weight * mean + model / _MODEL) / (weight + 1 / _MODEL))[function])


def interval(values: Any) -> dict[str, float]:
    """Return the mean over seeds and its 95 % interval (Student's t)."""
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return {"mean": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}
