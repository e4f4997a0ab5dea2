"""Optuna's Gaussian process as a judge of given candidates. Importing this loads Optuna, and torch with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna._gp.acqf import BaseAcquisitionFunc

Params = Mapping[str, Any]


class _Judge(optuna.samplers.GPSampler):
    """Looks for the largest acquisition among candidates instead of everywhere.

    Optuna lets samplers override ``_optimize_acqf``, but promises nothing of it between versions: the
    dependency is bounded to one major version, and the tests hold on to it.
    """

    candidates: Sequence[Params] = ()
    scores: NDArray[np.float64] = np.zeros(0)

    def _optimize_acqf(self, acqf: BaseAcquisitionFunc, best_params: NDArray[np.float64] | None) -> NDArray[np.float64]:
        points = [dict(candidate) for candidate in self.candidates]
        # The values come from the second argument; of the first one only the length counts.
        normalized = acqf.search_space.get_normalized_params([_NOTHING] * len(points), points)
        self.scores = acqf.eval_acqf_no_grad(normalized)
        best: NDArray[np.float64] = normalized[int(self.scores.argmax())]
        return best


_NOTHING = optuna.trial.create_trial(value=0.0)


def chosen(
    known: Sequence[tuple[Params, float]],
    candidates: Sequence[Params],
    n: int,
    fits: int,
    space: dict[str, BaseDistribution],
    seed: int,
) -> list[int]:
    """Return which candidates promise the largest improvement, as positions, best first.

    The process is fitted ``fits`` times. Each time an equal share of the ``n`` is taken, and enters the next
    fit with a value that is made up, the mean of the known ones ("constant liar"), so that the next share lies
    elsewhere.

    Args:
        known: values of all genes and what they are worth (higher is better), at least 2.
        candidates: values of all genes, at least ``n``.
        n: how many to choose.
        fits: how often to fit, at least 1.
        space: distributions of the genes.
        seed: of the fit, at most 32 bits.
    """
    judge = _Judge(seed=seed, n_startup_trials=1, warn_independent_sampling=False)
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), sampler=judge, direction="maximize")
    for params, value in known:
        _add(study, params, value, space)
    lie = float(np.mean([value for _, value in known]))
    left, taken = list(range(len(candidates))), []
    for share in np.array_split(np.arange(n), min(fits, n)):
        judge.candidates = [candidates[index] for index in left]
        trial = study.ask(space)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        best = [left[int(index)] for index in np.argsort(-judge.scores, kind="stable")[: len(share)]]
        for index in best:
            _add(study, candidates[index], lie, space)
        taken += best
        left = [index for index in left if index not in set(best)]
    return taken


def _add(study: optuna.Study, params: Params, value: float, space: dict[str, BaseDistribution]) -> None:
    study.add_trial(optuna.trial.create_trial(params=dict(params), distributions=space, value=value))
