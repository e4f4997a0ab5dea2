"""What an ensemble is made of: Gaussian processes (scikit-learn) and trees (XGBoost), one model per component."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost as xgb
from scipy import linalg, optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# A Gaussian process's hyperparameters are fitted on at most so many rows: their number decides the time.
_ROWS = {False: 250, True: 150}
# Iterations of that fit; few, for the many length scales of the second kind, which would overfit.
_ITERATIONS = {False: 40, True: 15}
# Predictions are made in blocks of this many rows, so that a row's does not depend on its company.
_BLOCK = 256
# Smallest standard deviation of a component.
_LEAST = 1e-9

BOOSTING = {
    "max_depth": 3, "eta": 0.05, "subsample": 0.8, "colsample_bytree": 0.4, "rounds": 300, "num_parallel_tree": 1,
}  # fmt: skip
FOREST = {
    "max_depth": 9, "eta": 1.0, "subsample": 0.7, "colsample_bynode": 0.4, "min_child_weight": 2, "lambda": 0.5,
    "rounds": 1, "num_parallel_tree": 150,
}  # fmt: skip
TREES: dict[str, dict[str, Any]] = {"boosting": BOOSTING, "forest": FOREST}


@dataclass(frozen=True)
class GaussianProcess:
    """Gaussian processes with a Matern-5/2 kernel and noise, one for each component.

    With ``ard`` every feature has a length scale of its own, within 1 to 40 standard deviations; without it all
    share one.
    """

    ard: bool
    thetas: tuple[Array, ...]
    features: Array
    values: Array
    models: tuple[Any, ...]
    """Fitted ``GaussianProcessRegressor`` on ``values`` divided by their standard deviation."""

    @classmethod
    def fit(cls, features: Array, values: Array, ard: bool, rng: np.random.Generator) -> GaussianProcess:
        """Return the processes for standardised features (n, f) and components (n, c)."""
        rows = np.sort(rng.permutation(len(features))[: _ROWS[ard]])
        thetas = []
        for component in values.T:
            kernel = _kernel(features.shape[1], ard)
            process = GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=_optimizer(_ITERATIONS[ard]))
            with warnings.catch_warnings(), threadpool_limits(1):
                warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound is an answer
                process.fit(features[rows], component[rows] / _spread(component))
            thetas.append(np.asarray(process.kernel_.theta))
        return cls.of(features, values, ard, thetas)

    @classmethod
    def of(cls, features: Array, values: Array, ard: bool, thetas: Sequence[Array]) -> GaussianProcess:
        """Return the processes with these hyperparameters."""
        models = []
        for component, theta in zip(values.T, thetas, strict=True):
            kernel = _kernel(features.shape[1], ard).clone_with_theta(theta)
            with threadpool_limits(1):
                process = GaussianProcessRegressor(kernel, alpha=1e-6, optimizer=None)
                models.append(process.fit(features, component / _spread(component)))
        return cls(ard, tuple(thetas), features, values, tuple(models))

    @property
    def noise(self) -> Array:
        """Return the variance of the noise of each component, (c,)."""
        # The noise is the last hyperparameter of the kernel.
        pairs = zip(self.thetas, self.values.T, strict=True)
        return np.array([np.exp(theta[-1]) * _spread(component) ** 2 for theta, component in pairs])

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Return mean and variance, without noise, of each component: (t, c) both."""
        mean = np.empty((len(features), len(self.models)))
        variance = np.empty_like(mean)
        pairs = list(zip(self.models, map(_spread, self.values.T), strict=True))
        with threadpool_limits(1):
            for start in range(0, len(features), _BLOCK):
                part = features[start : start + _BLOCK]
                rows = slice(start, start + len(part))
                block = np.concatenate([part, np.repeat(part[:1], _BLOCK - len(part), axis=0)])
                for place, (process, spread) in enumerate(pairs):
                    block_mean, std = process.predict(block, return_std=True)
                    mean[rows, place] = block_mean[: len(part)] * spread
                    variance[rows, place] = (std[: len(part)] * spread) ** 2
        return mean, np.maximum(variance - self.noise, 1e-9)

    def leave_one_out(self) -> tuple[Array, Array]:
        """Return what each row is predicted to be by the others, and the variance of that with noise: (n, c) both.

        In closed form (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 5.4.2).
        """
        means, variances = [], []
        for process, component in zip(self.models, self.values.T, strict=True):
            with threadpool_limits(1):
                inverse = np.diag(linalg.cho_solve((process.L_, True), np.eye(len(self.features))))
            spread = _spread(component)
            means.append(component - spread * process.alpha_.reshape(-1) / inverse)
            variances.append(spread**2 / inverse)
        return np.column_stack(means), np.column_stack(variances)


@dataclass(frozen=True)
class Trees:
    """Trees of one kind of ``TREES``, a booster for each component."""

    boosters: tuple[xgb.Booster, ...]

    @classmethod
    def fit(cls, features: Array, values: Array, kind: str, seed: int) -> Trees:
        """Return the trees for features (n, f) and components (n, c)."""
        params = {
            "objective": "reg:squarederror",
            "base_score": 0.0,
            "nthread": 1,
            "tree_method": "hist",
            **TREES[kind],
        }
        rounds = params.pop("rounds")
        boosters = []
        for place, component in enumerate(values.T):
            data = xgb.DMatrix(features, component, nthread=1)
            boosters.append(xgb.train({**params, "seed": (seed + place) % 2**31}, data, rounds))
        return cls(tuple(boosters))

    def predict(self, features: Array) -> Array:
        """Return the components (t, c)."""
        data = xgb.DMatrix(features, nthread=1)
        return np.column_stack([booster.predict(data).astype(np.float64) for booster in self.boosters])


def _spread(component: Array) -> float:
    return max(float(component.std()), _LEAST)


def _kernel(features: int, ard: bool) -> Any:
    length = Matern(np.full(features, 4.5), (1.0, 40.0), nu=2.5) if ard else Matern(1.0, (0.1, 30.0), nu=2.5)
    return ConstantKernel(1.0, (0.05, 20.0)) * length + WhiteKernel(0.3, (0.05, 1.5))


def _optimizer(iterations: int) -> Any:
    def maximise(objective: Any, start: Array, bounds: Array) -> tuple[Array, float]:
        optimum = optimize.minimize(
            objective, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": iterations}
        )
        return optimum.x, float(optimum.fun)

    return maximise
