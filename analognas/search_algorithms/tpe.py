"""The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127) by Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.search_algorithms._optuna import SampledByOptuna

if TYPE_CHECKING:
    import optuna

    from analognas.search_algorithms.base import Evaluated


class TPE(SampledByOptuna):
    """Proposes what good architectures have and bad ones have not, by densities of both over all genes.

    Infeasible architectures count as bad ones, the more so the further they are from feasible; what is asked
    and not told yet counts as bad too, so that a batch spreads. Starts from ``population_size`` uniform
    draws. Arguments and errors: ``Optimizer``.
    """

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Return the multivariate sampler."""
        import optuna

        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=self.population_size
        )

    def costs(self, record: Evaluated) -> list[float]:
        """Return the objective with its sign changed."""
        return [-record.objective]
