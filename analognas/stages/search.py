"""``search``: look for the best architecture through the evaluator.

Reads ``data/evaluator/``; writes ``data/search/``: ``best.json`` (the best and the runners-up, and whether each holds
the limits),
``history.parquet`` (everything that was asked) and ``pareto.parquet`` (what nothing beats in every respect).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from analognas.evaluators.base import assessed
from analognas.evaluators.registry import load_evaluator
from analognas.files import write_parquet, write_sealed, writing_directory
from analognas.progress import Progress, silent
from analognas.search_algorithms import NSGA2, Worker
from analognas.search_algorithms.registry import optimizer_class
from analognas.search_algorithms.told import judged
from analognas.search_algorithms.verdicts import described, verdicts
from analognas.search_spaces.baseline import known_networks
from analognas.seeds import derive_seed
from analognas.stages import identity, inputs, plots

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.params import Params
    from analognas.search_algorithms import Optimizer
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.stages.summaries import SearchSummary
    from analognas.workspace import Paths


def run(params: Params, paths: Paths, progress: Progress = silent) -> SearchSummary:
    """Run the search several times, and random search with the same number of questions beside it.

    Raises:
        SearchError: if nothing holds the limits and ``search.strict`` is set.
        MismatchError: if the evaluator was fitted for something else.
    """
    space = inputs.space(params, paths)
    evaluator = load_evaluator(paths.evaluator, params.fit.evaluator)
    evaluator.check(space=space.name, **identity.context(params, paths))
    worker = Worker(space, _optimizer(params.search.optimizer, evaluator, params), params.search.runs)
    text = f"searching with {params.search.optimizer}"
    best = worker.search(lambda done, total, _: progress(done / total, 2, text))
    histories = {params.search.optimizer: worker.history}
    random = best
    if params.search.optimizer != "random_search":
        baseline = Worker(space, _optimizer("random_search", evaluator, params), params.search.runs)
        random = baseline.search(lambda done, total, _: progress(1 + done / total, 2, "random search beside it"))
        histories["random_search"] = baseline.history

    # Those that hold the limits as far as it is known, then what comes closest: each is measured before it is taken.
    taken = by_hand(evaluator, space)
    candidates = joined(worker, eligible(taken.values(), space, params), evaluator, params.search.candidates)
    known = assessed(evaluator, candidates).to_dict(orient="records")
    limits = [
        described(verdicts(worker.optimizer.limits, row, candidate))
        for candidate, row in zip(candidates, known, strict=True)
    ]
    history = pd.concat([table.assign(search=name) for name, table in histories.items()], ignore_index=True)
    with writing_directory(paths.search) as folder:
        write_sealed(
            folder / "best.json",
            {
                "candidates": [
                    architecture.to_dict() | {"prediction": row, "limits": limit}
                    for architecture, row, limit in zip(candidates, known, limits, strict=True)
                ],
                "limits": limits[0],
                "known": {name: architecture.to_dict() for name, architecture in taken.items()},
                "objective": best.value,
                "objective_of_random_search": random.value,
            },
        )
        write_parquet(folder / "history.parquet", history)
        write_parquet(folder / "pareto.parquet", worker.pareto())
    summary: SearchSummary = {
        "objective": best.value,
        "objective_random_search": random.value,
        "evaluations": len(worker.history),
        "params": candidates[0].params,
        "best_is_measured": bool(known[0]["measured"]),
        "limits": limits[0],
        "predicted_acc_1d": known[0]["acc_1d"],
        "predicted_avm": known[0]["avm"],
        "predicted_acc_1d_std": known[0]["acc_1d_std"],
    }
    write_sealed(paths.metrics("search"), summary)
    plots.search_history(paths, history)
    progress(2, 2, "best architecture found")
    return summary


def by_hand(evaluator: Evaluator, space: ConfigSpace) -> dict[str, Architecture]:
    """Return the networks that people take by hand and that were characterized, by name."""
    evidence = evaluator.evidence_
    measured = set() if evidence is None else {architecture.id for architecture in evidence.architectures}
    known = known_networks(space.id, space.max_params)
    return {name: architecture for name, architecture in known.items() if architecture.id in measured}


def eligible(known: Iterable[Architecture], space: ConfigSpace, params: Params) -> list[Architecture]:
    """Return the known networks that may win: all of them, or those within the ranges that the user has set."""
    return [network for network in known if not params.space.ranges or network in space]


def joined(worker: Worker, known: Iterable[Architecture], evaluator: Evaluator, n: int) -> list[Architecture]:
    """Return the ``n`` best candidates of a search and of known networks, best first.

    A search takes none from outside of its space, so these join afterwards, by what was measured of them.
    """
    limits, candidates = worker.optimizer.limits, worker.closest(n)
    ids = {candidate.id for candidate in candidates}
    more = [
        network for network in known if network.id not in ids and network.params <= (limits.max_nb_param or math.inf)
    ]
    if not more:
        return candidates
    together = [*candidates, *more]
    table = assessed(evaluator, together)
    judgement = judged(together, table, worker.optimizer.objective, limits, limits, looked_at=True)

    def order(row: int) -> tuple[float, float, int, str]:
        return judgement.violation[row], -judgement.objective[row], together[row].params, together[row].id

    return [together[row] for row in sorted(range(len(together)), key=order)[:n]]


def _optimizer(name: str, evaluator: Evaluator, params: Params) -> Optimizer:
    given = params.search
    strategy = optimizer_class(name)
    further: dict[str, Any] = {}
    if limits := inputs.cost(params):  # only then: an optimizer of the user's own may know nothing of costs
        further["cost"] = limits
    if issubclass(strategy, NSGA2):
        further["chip"] = params.cost.of(params.hardware)
        if given.objectives:
            further["objectives"] = given.objectives
    if given.objective == "quantile":
        further["quantile"] = given.quantile
    return strategy(
        evaluator,
        population_size=given.population_size,
        nb_iter=given.nb_iter,
        max_nb_param=given.max_nb_param or params.space.max_params,
        T_AVM=given.T_AVM,
        min_acc_1d=given.min_acc_1d,
        avm_bound=given.avm_bound,
        strict=given.strict,
        objective=given.objective,
        k=given.k,
        seed=derive_seed(params.base.seed, "search", name),
        **further,
    )
