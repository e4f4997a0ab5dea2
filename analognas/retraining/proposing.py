"""The closed loop in a workspace: rounds of proposed architectures, characterized and learned from.

A round is written before it is measured, so a killed loop goes on where it was: the next call measures what the
last round lacks, and counts what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from analognas.errors import StageError
from analognas.evaluators.base import predicted
from analognas.hardware.cost import cost
from analognas.progress import Progress, silent
from analognas.search_algorithms.closed_loop import ClosedLoop
from analognas.search_algorithms.verdicts import Verdict, described, verdicts, with_interval
from analognas.seeds import derive_seed
from analognas.stages import fit, identity, inputs, rows, run_stage
from analognas.stages.rounds import Entry, Round, next_round, next_sequence, read_rounds, write_round

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.hardware.chips import Chip
    from analognas.params import Params
    from analognas.search_algorithms.records import KnownValues
    from analognas.search_spaces import Architecture
    from analognas.workspace import Paths

#: What marks a round of ``analognas search``.
SEARCH = "search"

# What is kept of a prediction in a round's file.
_KEPT = ("acc_1d", "acc_1d_uncertainty", "avm", "acc_1d_std")


@dataclass(frozen=True)
class Found:
    """What a closed loop found.

    Args:
        architecture: what the evaluator, fitted with all measurements, ranks first among the measured ones.
        measured: its row.
        predicted: what the evaluator says of it.
        evaluations: architectures measured for this search, all calls together.
        history: best measured objective after each architecture that holds the limits, those of the sample first
            (percent).
        limits: whether it holds the limits, as measured.
        chip: the chip of ``cost``.
    """

    architecture: Architecture
    measured: KnownValues
    predicted: KnownValues
    evaluations: int
    history: tuple[float, ...]
    limits: tuple[Verdict, ...]
    chip: Chip

    def __str__(self) -> str:
        measured, predicted, costs = self.measured, self.predicted, self.cost
        text = (
            f"Closed loop: {self.evaluations} architectures characterized beyond the sample. The best of all measured "
            f"is {self.architecture.id} with {self.architecture.params:,} parameters, {costs['tiles']} tiles, "
            f"{costs['latency_us']:.4g} us and {costs['energy_uj']:.4g} uJ for an inference on {self.chip.name}: "
            f"{measured['acc_1d']:.2f} % after a day as measured on validation"
        )
        if "acc_1d" in predicted:
            text += f", {predicted['acc_1d']:.2f} +- {predicted['acc_1d_uncertainty']:.2f} % by the evaluator"
        return " ".join([f"{text}.", *(f"{str(verdict)[:1].upper()}{str(verdict)[1:]}." for verdict in self.limits)])

    @property
    def cost(self) -> dict[str, float]:
        """What an inference of it costs on the chip, see ``hardware.cost.costs``."""
        return cost(self.architecture, self.chip)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        measured = {name: self.measured[name] for name in ("acc_1d", "acc_1d_std", "avm") if name in self.measured}
        return {
            "architecture": self.architecture.to_dict(),
            "measured": measured,
            "predicted": {name: value for name, value in self.predicted.items() if name != "id"},
            "cost": {"chip": self.chip.name, **self.cost},
            "evaluations": self.evaluations,
            "best_measured": list(self.history),
            "limits": described(list(self.limits)),
        }


def loop(params: Params, paths: Paths) -> ClosedLoop:
    """Return a closed loop that knows everything the evaluator may learn from, and what is not to be proposed.

    Raises:
        CorruptFileError: if a file is missing or damaged.
    """
    search = params.search

    def surrogate(seed: int) -> Evaluator:
        return fit.unfitted(params, seed, paths, report=False)

    made = ClosedLoop(
        surrogate,
        start=1,  # the sample is the start
        max_nb_param=search.max_nb_param or params.space.max_params,
        T_AVM=search.T_AVM,
        min_acc_1d=search.min_acc_1d,
        avm_bound=search.avm_bound,
        objectives=search.objectives,
        chip=params.cost.of(params.hardware),
        cost=inputs.cost(params),
        strict=search.strict,
        objective=search.objective,
        k=search.k,
        seed=derive_seed(params.base.seed, "closed_loop", next_sequence(paths)),
    ).bind(inputs.space(params, paths))
    results = rows.read_table(paths, identity.context(params, paths))
    by_id = {entry.architecture.id: entry for entry in inputs.listed(params, paths)}
    learnable = rows.learnable(results)
    known = [by_id[name].architecture for name in learnable["id"]]
    made.tell(known, learnable)
    learned = set(learnable["id"])
    made.exclude([entry.architecture for name, entry in by_id.items() if name not in learned])
    return made


def propose(params: Params, paths: Paths, n: int, *, purpose: str, decision: str, reason: str) -> Round | None:
    """Write a round of up to ``n`` new architectures and return it; None if the space has no more.

    Raises:
        CorruptFileError: if a file is missing or damaged.
    """
    made = loop(params, paths)
    asked = made.propose(n)
    if not asked:
        return None
    architectures = [architecture for architecture, _ in asked]
    fitted = made.fitted()
    promised: list[dict[str, float]] = [{}] * len(asked)
    if fitted is not None:
        frame = predicted(fitted, architectures)[list(_KEPT)]
        promised = [{str(name): float(value) for name, value in row.items()} for row in frame.to_dict("records")]
    entries = tuple(
        Entry(architecture, origin, values) for (architecture, origin), values in zip(asked, promised, strict=True)
    )
    added = next_round(paths, entries, reason, decision, purpose)
    write_round(paths, added)
    return added


def run_closed_loop(params: Params, paths: Paths, evaluations: int, batch: int, progress: Progress = silent) -> Found:
    """Propose, characterize and learn until ``evaluations`` architectures beyond the sample were measured.

    What earlier calls measured counts, so a call that was interrupted may simply be repeated.

    Args:
        params: of the workspace.
        paths: of the workspace, prepared.
        evaluations: architectures to measure for this search.
        batch: how many are proposed at once.
        progress: called as it gets on.

    Raises:
        SearchError: if every training failed, or nothing measured holds the limits and ``search.strict`` is set.
        StageError: if the space has no more architectures.
    """
    space = inputs.space(params, paths)
    if not paths.architectures.exists():
        run_stage("sample", params, paths)

    def count() -> int:
        rounds = [added for added in read_rounds(paths, space) if added.purpose == SEARCH]
        return len({entry.architecture.id for added in rounds for entry in added.entries})

    done = count()
    progress(done, evaluations, "characterizing the sample")
    run_stage("characterize", params, paths, lambda _, __, text: progress(done, evaluations, text))
    while done < evaluations:
        progress(done, evaluations, "fitting the evaluator")
        reason = f"the evaluator's promise and uncertainty, {evaluations} evaluations asked for"
        if (
            propose(params, paths, min(batch, evaluations - done), purpose=SEARCH, decision="accepted", reason=reason)
            is None
        ):
            raise StageError(f"The space {space.name} has no more architectures: {done} were measured.")
        before, done = done, count()

        def measuring(finished: float, total: float, text: str, before: int = before, done: int = done) -> None:
            progress(before + (done - before) * finished / max(total, 1), evaluations, text)

        run_stage("characterize", params, paths, measuring)
    made = loop(params, paths)
    best = made.recommend()
    progress(evaluations, evaluations, f"{best.best.id} is the best of those measured")
    limits = tuple(verdicts(made.limits, with_interval(best.measured), best.best))
    return Found(
        best.best, best.measured, best.prediction, done, _history(made), limits, params.cost.of(params.hardware)
    )


def _history(made: ClosedLoop) -> tuple[float, ...]:
    table = made.history
    values = table["objective"].where(table["feasible"])
    return tuple(float(value) for value in pd.Series(values).cummax().dropna())
