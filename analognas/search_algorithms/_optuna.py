"""Optuna behind our spaces: loaded when first needed, quiet, in memory, every gene a distribution."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analognas.search_algorithms._walk import shrunk, walk_to_new
from analognas.search_algorithms.base import Evaluated, Optimizer
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace
    from analognas.search_spaces.genes import Gene


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from logging to the user's terminal, and leave its verbosity as it was."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def distributions(space: ConfigSpace) -> dict[str, BaseDistribution]:
    """Return a distribution of every gene: positions among ordered values, or categories."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        gene.name: CategoricalDistribution(tuple(gene.values))
        if gene.type == "categorical"
        else IntDistribution(0, len(gene.values) - 1)
        for gene in space.hyperparameters
    }


def to_params(space: ConfigSpace, genes: Mapping[str, Gene], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of all distributions; those of genes that are not active are in ``others``.

    What neither has is in the middle of its values.
    """
    params: dict[str, Any] = {}
    for gene in space.hyperparameters:
        if gene.name in genes:
            value = genes[gene.name]
            params[gene.name] = value if gene.type == "categorical" else gene.values.index(value)
        elif gene.name in others:
            params[gene.name] = others[gene.name]
        else:
            middle = len(gene.values) // 2
            params[gene.name] = gene.at(0.5) if gene.type == "categorical" else middle
    return params


def to_architecture(space: ConfigSpace, params: Mapping[str, Any]) -> Architecture:
    """Return the architecture that the values of all distributions stand for."""
    genes = {
        gene.name: params[gene.name] if gene.type == "categorical" else gene.values[params[gene.name]]
        for gene in space.hyperparameters
    }
    return space.architecture(genes)  # drops those that are not active


class SampledByOptuna(Optimizer):
    """Base of the strategies whose proposals come from one of Optuna's samplers by ask and tell.

    A trial has a value for every gene, active or not: samplers then see one space of fixed dimension, and
    a gene that is switched off keeps its value for the day when it is switched on. A proposal that is known
    is mutated on, one that is too large shrinks first, and the trial gets the genes that became of it. What
    is told without having been asked becomes a trial too.
    """

    @abstractmethod
    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Return the sampler."""

    @abstractmethod
    def costs(self, record: Evaluated) -> list[float]:
        """Return what is minimised, of a record that did not fail."""

    #: How many values ``costs`` returns.
    n_costs = 1

    def reset(self) -> None:
        """Forget the study; it is made when it is needed, so that ``bind`` does not load Optuna."""
        self._made: optuna.Study | None = None
        self._running: dict[str, optuna.Trial] = {}

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return what the sampler proposes, or what became of it."""
        proposals: dict[str, tuple[Architecture, str]] = {}
        with quiet():
            while len(proposals) < n:
                trial = self._study.ask(self._distributions)
                proposed = to_architecture(self.space, trial.params)
                new = walk_to_new(self, shrunk(self, proposed), proposals)
                if new is None:
                    new = next(iter(self.draw(1, "uniform", proposals)), None)
                if new is None or new != proposed:
                    self._fail(trial)
                if new is None:
                    break
                self._running[new.id] = trial if new == proposed else self._enter(new, trial.params)
                proposals[new.id] = new, "sampler" if new == proposed else "repair"
        return list(proposals.values())

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Tell the study."""
        with quiet():
            for record in evaluated:
                trial = self._running.pop(record.architecture.id, None)
                if trial is None:
                    trial = self._enter(record.architecture, {})
                if not record.alive:
                    self._fail(trial)
                else:
                    trial.set_constraint("violation", record.violation)
                    self._study.tell(trial, self.costs(record))

    @property
    def _study(self) -> optuna.Study:
        if self._made is None:
            import optuna

            self._distributions = distributions(self.space)
            self._made = optuna.create_study(
                storage=optuna.storages.InMemoryStorage(),
                sampler=self.sampler(derive_seed(self.run_seed, "search", "optuna") % 2**32),
                directions=["minimize"] * self.n_costs,
            )
        return self._made

    def _enter(self, architecture: Architecture, others: Mapping[str, Any]) -> optuna.Trial:
        """Return a running trial with these genes."""
        study = self._study
        study.enqueue_trial(to_params(self.space, architecture.genes, others))
        return study.ask(self._distributions)

    def _fail(self, trial: optuna.Trial) -> None:
        from optuna.trial import TrialState

        self._study.tell(trial, state=TrialState.FAIL)
