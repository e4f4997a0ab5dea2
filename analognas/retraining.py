"""Retraining in a workspace: whether the champion needs it, a round of new architectures, the decision.

The champion is ``data/evaluator/``. A challenger is fitted beside it, in a folder that git does not see, from the rows
that the champion may learn from plus the new round; both predict the sentinel set (``analognas.comparing`` decides).
Every step writes its file before the next one begins, so a killed retraining is taken up where it was: a *pending*
round is never proposed anew. No clock and no host is in what is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from analognas import comparing, proposing
from analognas.errors import CorruptFileError, SpaceError, StageError, WorkspaceError
from analognas.evaluators.registry import load_evaluator
from analognas.files import file_digest, write_text
from analognas.results import ResultStore, result_key, table
from analognas.rounds import Entry, Round, next_number, read_rounds, read_sentinel, write_round, write_sentinel
from analognas.seeds import derive_seed
from analognas.stages import _inputs, characterize, fit
from analognas.tracking import challenger_folder

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from analognas.evaluators.base import Evaluator
    from analognas.params import Params
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths

#: What marks a round of ``analognas retrain``.
RETRAIN = "retrain"

_SHARED = "characterized by others"


@dataclass(frozen=True)
class Need:
    """Whether the champion needs retraining.

    Args:
        reasons: why, one clause each; none if it does not.
        figures: ``newest`` (``comparing.ranking`` of rows it has not learned from), ``new_rows`` (count),
            ``age_days`` (None: unknown).
        pending: number of the round that waits for its decision, or None.
        unfinished: number of the accepted round that ``data/evaluator/`` does not hold yet, or None.
    """

    reasons: tuple[str, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)
    pending: int | None = None
    unfinished: int | None = None

    @property
    def anything(self) -> bool:
        """Whether there is something to do."""
        return bool(self.reasons) or self.pending is not None or self.unfinished is not None


class Workbench:
    """What the steps share: the champion, what is listed and what is measured. Made anew when files change.

    Args:
        params: of the workspace.
        paths: of the workspace, prepared.

    Raises:
        WorkspaceError: if there is no champion yet.
        MismatchError: if the champion was fitted for something else than the parameters say.
    """

    def __init__(self, params: Params, paths: Paths) -> None:
        self.params, self.paths = params, paths
        if not paths.evaluator.is_dir() or not paths.plot("fit.csv").is_file():
            raise WorkspaceError(f"{paths.evaluator} is missing: there is no champion to retrain, run `analognas run`.")
        self.space: ConfigSpace = _inputs.space(params, paths)
        self.champion = load_evaluator(paths.evaluator, params.fit.evaluator)
        self.champion.check(
            space=self.space.name,
            dataset=_inputs.dataset_id(paths),
            hardware=_inputs.hardware_id(params.hardware),
            protocol=_inputs.protocol_id(params.characterize),
        )

    @cached_property
    def learned(self) -> set[str]:
        """Ids of the architectures that the champion has learned from: those of its out-of-fold predictions."""
        import pandas as pd

        return set(pd.read_csv(self.paths.plot("fit.csv"), dtype={"id": str})["id"])

    @cached_property
    def by_id(self) -> dict[str, _inputs.Listed]:
        """Everything that is characterized."""
        return {one.architecture.id: one for one in _inputs.listed(self.params, self.paths)}

    @cached_property
    def jobs(self) -> list[characterize.Job]:
        """One job for each of them."""
        return characterize.jobs(self.params, self.paths)

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows that were measured, in the order and form of ``data/surrogate.parquet``."""
        store = ResultStore.of(self.paths.root)
        constant = {
            "dataset": _inputs.dataset_id(self.paths),
            "hardware": _inputs.hardware_id(self.params.hardware),
            "protocol": _inputs.protocol_id(self.params.characterize),
        }
        rows = []
        for job in self.jobs:
            if job.key in store and not job.replicate:
                one = self.by_id[job.architecture.id]
                roles = {"role": one.role, "round": one.round, "decision": one.decision}
                rows.append(constant | roles | store.get(job.key))
        return table(rows, self.params.characterize.times)

    @cached_property
    def shared(self) -> list[tuple[Architecture, dict[str, Any]]]:
        """Architectures with a usable result in the store that this workspace does not list, by id."""
        return sorted(_unlisted(self), key=lambda pair: pair[0].id)

    def learnable(self, number: int | None = None) -> pd.DataFrame:
        """Return the rows that an evaluator may learn from; those of round ``number`` count as accepted."""
        rows = self.measured
        if number is not None:
            names = {entry.architecture.id for entry in self.round(number).entries}
            rows = rows.assign(decision=rows["decision"].where(~rows["id"].isin(names), "accepted"))
        return _inputs.learnable(rows)

    def round(self, number: int) -> Round:
        """Return a round."""
        return next(one for one in read_rounds(self.paths, self.space) if one.number == number)


def look(params: Params, paths: Paths, age_days: float | None = None) -> Need:
    """Return whether the champion needs retraining.

    Args:
        params: of the workspace.
        paths: of the workspace, prepared.
        age_days: of the champion; None: unknown.

    Raises:
        WorkspaceError: if there is no champion yet.
        MismatchError: if it was fitted for something else than the parameters say.
        CorruptFileError: if a file is damaged.
    """
    bench = Workbench(params, paths)
    rounds = [one for one in read_rounds(paths, bench.space) if one.purpose == RETRAIN]
    pending = next((one.number for one in rounds if one.decision == "pending"), None)
    if pending is not None:
        return Need((), pending=pending)
    if rounds and _unfinished(rounds[-1], paths):
        return Need((), unfinished=rounds[-1].number)
    rows = _inputs.usable(bench.measured)
    # What a rejected round brought has had its comparison: it is no reason for another one.
    unseen = rows[~rows["id"].isin(bench.learned) & (rows["role"] != "sentinel") & (rows["decision"] == "accepted")]
    unseen = unseen.sort_values("round", kind="stable")
    architectures = [bench.by_id[name].architecture for name in unseen["id"]]
    architectures += [architecture for architecture, _ in bench.shared]
    values = [*map(float, unseen["acc_1d"]), *(float(row["acc_1d"]) for _, row in bench.shared)]
    newest = slice(max(0, len(architectures) - params.retrain.newest), None)
    figures = {
        "newest": _ranking(bench.champion, architectures[newest], values[newest]),
        "new_rows": len(architectures),
        "age_days": age_days,
    }
    return Need(tuple(comparing.reasons(figures, params.retrain)), figures)


def draw_sentinel(params: Params, paths: Paths) -> int:
    """Draw the sentinel set unless there is one, and return its size.

    Raises:
        SpaceError: if the space has too few architectures.
    """
    space = _inputs.space(params, paths)
    there = read_sentinel(paths, space)
    if there:
        return len(there)
    size = params.retrain.sentinel_size
    listed = _inputs.architectures(params, paths)
    known = {one.id for one in listed} | {one.function_id for one in listed}
    seed = derive_seed(params.base.seed, "sentinel")
    drawn = []
    for spare in (len(known), 4 * len(known)):  # the second where many compute the same function
        try:
            more = space.sample(size + spare, seed=seed, method="uniform", max_params=params.space.max_params)
        except SpaceError:
            break
        drawn = [one for one in more if one.id not in known and one.function_id not in known][:size]
        if len(drawn) == size:
            write_sentinel(paths, drawn)
            return size
    raise SpaceError(
        f"The space {space.name} has fewer than {size} architectures beside the {len(listed)} that are listed: lower "
        "retrain.sentinel_size, or widen a range."
    )


def open_round(params: Params, paths: Paths, need: Need, *, force: bool = False) -> Round:
    """Return the round that waits for its decision, or propose one.

    Besides the new architectures it lists those of rejected retraining rounds, so that evidence adds up, and those
    that others characterized; both cost nothing.

    Raises:
        StageError: if the space has no more architectures.
    """
    bench = Workbench(params, paths)
    rounds = read_rounds(paths, bench.space)
    found = next((one for one in rounds if one.purpose == RETRAIN and one.decision == "pending"), None)
    if found is None:
        reasons = need.reasons or (("it was asked for",) if force else ())
        reason = "the champion is retrained: " + "; ".join(reasons)
        found = proposing.propose(
            params, paths, params.retrain.round_size, purpose=RETRAIN, decision="pending", reason=reason
        ) or Round(next_number(paths), (), reason, "pending", RETRAIN)
    known = {entry.architecture.id for entry in found.entries} | set(bench.learned)
    sentinel = read_sentinel(paths, bench.space)
    known |= {one.id for one in sentinel} | {one.function_id for one in sentinel}
    added: dict[str, Entry] = {}
    for one in rounds:
        if one.purpose == RETRAIN and one.decision == "rejected" and not one.record.get("rolled_back"):
            for entry in one.entries:
                reason = f"carried over from round {one.number:03d}"
                added.setdefault(entry.architecture.id, Entry(entry.architecture, reason))
    for architecture, _ in bench.shared:
        added.setdefault(architecture.id, Entry(architecture, _SHARED))
    kept = [entry for entry in found.entries if entry.architecture.function_id not in {s.function_id for s in sentinel}]
    entries = (*kept, *(entry for name, entry in added.items() if name not in known))
    if not entries:
        raise StageError(f"The space {bench.space.name} has no more architectures: nothing is left to learn from.")
    # Its age is of the clock, which no file holds.
    figures = {name: value for name, value in need.figures.items() if name != "age_days"}
    record = dict(found.record) or {"need": {"reasons": list(need.reasons), "forced": force, **figures}}
    changed = replace(found, entries=entries, record=record)
    if changed != found:
        write_round(paths, changed)
    return changed


def challenge(params: Params, paths: Paths, number: int) -> dict[str, Any]:
    """Fit the challenger from what the champion may learn from and round ``number``; return its report.

    Raises:
        InputError: if too few architectures were measured.
    """
    bench = Workbench(params, paths)
    rows = bench.learnable(number)
    evaluator = fit.unfitted(params, derive_seed(params.base.seed, "fit"))
    evaluator.fit([bench.by_id[name].architecture for name in rows["id"]], rows).save(challenger_folder(paths))
    return dict(evaluator.report_)


def conclude(params: Params, paths: Paths, number: int) -> Round:
    """Compare champion and challenger on the sentinel set, write the decision and its note, return the round.

    Raises:
        CorruptFileError: if the challenger is missing or damaged.
    """
    bench = Workbench(params, paths)
    challenger = load_evaluator(challenger_folder(paths), params.fit.evaluator)
    rows = _inputs.usable(bench.measured)
    rows = rows[rows["role"] == "sentinel"].reset_index(drop=True)
    architectures = [bench.by_id[name].architecture for name in rows["id"]]
    predictions = [one.predict(architectures) if architectures else rows for one in (bench.champion, challenger)]
    figures = comparing.compare(
        rows, predictions[0], predictions[1], params.retrain.bootstrap, derive_seed(params.base.seed, "compare", number)
    )
    verdict = comparing.decide(figures, params.retrain)
    added = bench.round(number)
    record = {
        **added.record,
        "comparison": figures,
        "rules": {name: getattr(params.retrain, name) for name in ("min_gain", "guard_avm", "min_coverage")},
        "champion": _identity(paths.evaluator, bench.champion),
        "challenger": _identity(challenger_folder(paths), challenger),
    }
    decided = added.decided("accepted" if verdict.accepted else "rejected", verdict.reason, record)
    decided = replace(decided, reason=f"{verdict.reason}; {added.reason}")
    write_text(note_file(paths, number), note(decided))
    write_round(paths, decided)
    return decided


def withdraw(paths: Paths, added: Round, why: str) -> Round:
    """Take back an accepted round: nothing learns from it any more, and no later round carries it over."""
    record = {**added.record, "rolled_back": True}
    taken = added.decided("rejected", f"{why}; before that it was accepted: {added.reason}", record)
    write_text(note_file(paths, added.number), note(taken))
    write_round(paths, taken)
    return taken


def promoted(paths: Paths, space: ConfigSpace) -> Round | None:
    """Return the newest accepted round of ``analognas retrain``, or None."""
    rounds = [one for one in read_rounds(paths, space) if one.purpose == RETRAIN and one.decision == "accepted"]
    return rounds[-1] if rounds else None


def note_file(paths: Paths, number: int) -> Path:
    """Return the file of a round's note, beside the round."""
    return paths.rounds / f"{number:03d}.md"


def note(decided: Round) -> str:
    """Return a decided round as Markdown: the decision, its figures, what was added."""
    record = decided.record
    figures = record.get("comparison", {})
    lines = [
        f"# Round {decided.number:03d}: {decided.decision}",
        "",
        f"{decided.reason[:1].upper()}{decided.reason[1:]}.",
    ]
    if "acc_1d" in figures:
        acc, avm = figures["acc_1d"], figures["avm"]
        lines += [
            "",
            f"On {figures['architectures']} sentinel architectures, which neither has learned from:",
            "",
            "| figure | champion | challenger | difference | one-sided 95 % bound |",
            "|---|---|---|---|---|",
            _line("Kendall tau, accuracy after one day", acc["champion"], acc["challenger"], acc["gain_low"]),
            _line("Kendall tau, AVM", avm["champion"], avm["challenger"], avm["gain_low"]),
            _line("coverage of the 90 % interval", *figures["coverage"].values()),
            _line("RMSE of the accuracy, points", *figures["rmse"].values()),
        ]
    names = {name: record[name] for name in ("champion", "challenger") if name in record}
    lines += ["", *(f"- {name}: {one['rows']} rows, `{one['digest'][:12]}`" for name, one in names.items())]
    counts: dict[str, int] = {}
    for entry in decided.entries:
        counts[entry.reason] = counts.get(entry.reason, 0) + 1
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    lines += [f"- architectures of the round: {len(decided.entries)} ({listed})"]
    return "\n".join(lines) + "\n"


def _line(name: str, champion: float | None, challenger: float | None, low: float | None = None) -> str:
    difference = "" if champion is None or challenger is None else f"{challenger - champion:+.3f}"
    cells = ["-" if one is None else f"{one:.3f}" for one in (champion, challenger)]
    return f"| {name} | {cells[0]} | {cells[1]} | {difference} | {'' if low is None else f'{low:+.3f}'} |"


def _identity(folder: Path, evaluator: Evaluator) -> dict[str, Any]:
    tau = evaluator.report_["targets"]["acc_1d"]["kendall_tau"]["value"]
    return {"digest": file_digest(folder), "rows": evaluator.report_["rows"], "kendall_tau_out_of_fold": tau}


def _unfinished(last: Round, paths: Paths) -> bool:
    """Return whether a run was killed between an acceptance and the end of the fit."""
    return last.decision == "accepted" and file_digest(paths.evaluator) == last.record["champion"]["digest"]


def _ranking(champion: Evaluator, architectures: Sequence[Architecture], values: Sequence[float]) -> dict[str, Any]:
    import pandas as pd

    predicted = champion.predict(architectures) if architectures else pd.DataFrame()
    return comparing.ranking(pd.DataFrame({"acc_1d": values}), predicted)


def _unlisted(bench: Workbench) -> Iterator[tuple[Architecture, dict[str, Any]]]:
    """Yield what the store holds beside the listed architectures, measured exactly as here."""
    store = ResultStore.of(bench.paths.root)
    if not bench.jobs:
        return
    template, limit = bench.jobs[0].inputs, bench.params.space.max_params
    for key in set(store.keys()) - {job.key for job in bench.jobs}:
        try:
            row = store.get(key)
            architecture = bench.space.architecture(json.loads(row["genes"]))
            float(row["acc_1d"] if row["status"] == "ok" else 0)
        except (CorruptFileError, SpaceError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            continue  # of another space, or not what a characterization gives
        inputs = {**template, "architecture": architecture.to_dict()}
        if "within_budget" in inputs:
            inputs["within_budget"] = limit is None or architecture.params <= limit
        if result_key(inputs) == key and row["status"] == "ok":
            yield architecture, row
