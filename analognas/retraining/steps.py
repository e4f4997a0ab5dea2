"""The steps of a retraining in a workspace: a round of new architectures, the challenger, the decision.

The champion is ``data/evaluator/``. A challenger is fitted beside it, in a folder that git does not see, from the rows
that the champion may learn from plus the new round; both predict the sentinel set (``comparing`` decides).
Every step writes its file before the next one begins, so a killed retraining is taken up where it was: a *pending*
round is never proposed anew. No clock and no host is in what is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analognas.errors import SpaceError, StageError
from analognas.evaluators.base import predicted
from analognas.evaluators.registry import load_evaluator
from analognas.files import file_digest, write_text
from analognas.retraining import comparing, proposing
from analognas.retraining.need import RETRAIN, Need
from analognas.retraining.note import note, note_file
from analognas.retraining.records import Identity
from analognas.seeds import derive_seed
from analognas.stages import fit
from analognas.stages.rounds import Entry, Round, next_round, read_rounds, read_sentinel, write_round, write_sentinel
from analognas.stages.rows import usable
from analognas.workspace import round_name

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.retraining.workbench import Workbench
    from analognas.search_spaces import ConfigSpace
    from analognas.stages.summaries import FitSummary
    from analognas.workspace import Paths


_SHARED = "characterized by others"


def draw_sentinel(bench: Workbench) -> int:
    """Draw the sentinel set unless there is one, and return its size.

    Raises:
        SpaceError: if the space has too few architectures.
    """
    params, paths, space = bench.params, bench.paths, bench.space
    there = read_sentinel(paths, space)
    if there:
        return len(there)
    size = params.retrain.sentinel_size
    listed = [entry.architecture for entry in bench.by_id.values()]
    known = {architecture.id for architecture in listed} | {architecture.function_id for architecture in listed}
    seed = derive_seed(params.base.seed, "sentinel")
    drawn = []
    for spare in (len(known), 4 * len(known)):  # the second where many compute the same function
        try:
            more = space.sample(size + spare, seed=seed, method="uniform", max_params=params.space.max_params)
        except SpaceError:
            break
        drawn = [
            architecture
            for architecture in more
            if architecture.id not in known and architecture.function_id not in known
        ][:size]
        if len(drawn) == size:
            write_sentinel(paths, drawn)
            bench.refresh()
            return size
    raise SpaceError(
        f"The space {space.name} has fewer than {size} architectures beside the {len(listed)} that are listed: lower "
        "retrain.sentinel_size, or widen a range."
    )


def open_round(bench: Workbench, need: Need, *, force: bool = False) -> Round:
    """Return the round that waits for its decision, or propose one.

    Besides the new architectures it lists those of rejected retraining rounds, so that evidence adds up, and those
    that others characterized; both cost nothing.

    Raises:
        StageError: if the space has no more architectures.
    """
    params, paths = bench.params, bench.paths
    rounds = read_rounds(paths, bench.space)
    pending = next(
        (earlier for earlier in rounds if earlier.purpose == RETRAIN and earlier.decision == "pending"), None
    )
    if pending is None:
        reasons = need.reasons or (("it was asked for",) if force else ())
        reason = "retrained because " + "; ".join(reasons)
        pending = proposing.propose(
            params, paths, params.retrain.round_size, purpose=RETRAIN, decision="pending", reason=reason
        ) or next_round(paths, (), reason, "pending", RETRAIN)
    known = {entry.architecture.id for entry in pending.entries} | set(bench.learned)
    sentinel = read_sentinel(paths, bench.space)
    known |= {member.id for member in sentinel} | {member.function_id for member in sentinel}
    added: dict[str, Entry] = {}
    for earlier in rounds:
        if earlier.purpose == RETRAIN and earlier.decision == "rejected" and not earlier.record.get("rolled_back"):
            for entry in earlier.entries:
                reason = f"carried over from round {round_name(earlier.number)}"
                added.setdefault(entry.architecture.id, Entry(entry.architecture, reason))
    for architecture, _ in bench.shared:
        added.setdefault(architecture.id, Entry(architecture, _SHARED))
    kept = [
        entry for entry in pending.entries if entry.architecture.function_id not in {s.function_id for s in sentinel}
    ]
    entries = (*kept, *(entry for name, entry in added.items() if name not in known))
    if not entries:
        raise StageError(f"The space {bench.space.name} has no more architectures: nothing is left to learn from.")
    # Its age is of the clock, which no file holds.
    figures = {name: value for name, value in (need.figures or {}).items() if name != "age_days"}
    record = dict(pending.record) or {"need": {"reasons": list(need.reasons), "forced": force, **figures}}
    changed = replace(pending, entries=entries, record=record)
    if changed != pending:
        write_round(paths, changed)
    bench.refresh()
    return changed


def challenge(bench: Workbench, number: int) -> FitSummary:
    """Fit the challenger from what the champion may learn from and round ``number``; return its report.

    It is what the stage ``fit`` gives once the round is accepted: the same function of the same table.

    Raises:
        InputError: if too few architectures were measured.
        StageError: if not everything is characterized.
    """
    bench.refresh()  # the round was measured since it was proposed
    bench.complete()
    architectures = {name: entry.architecture for name, entry in bench.by_id.items()}
    evaluator, report = fit.fitted(bench.params, bench.paths, architectures, bench.table_with(number))
    fit.write(evaluator, report, bench.paths.challenger)
    return report


def conclude(bench: Workbench, number: int) -> Round:
    """Compare champion and challenger on the sentinel set, write the decision and its note, return the round.

    Raises:
        CorruptFileError: if the challenger is missing or damaged.
        StageError: if not everything is characterized.
    """
    params, paths = bench.params, bench.paths
    bench.complete()
    digest = file_digest(paths.challenger.evaluator)
    challenger = load_evaluator(paths.challenger.evaluator, params.fit.evaluator)
    rows = usable(bench.measured)
    rows = rows[rows["role"] == "sentinel"].reset_index(drop=True)
    architectures = [bench.by_id[name].architecture for name in rows["id"]]
    predictions = [
        predicted(evaluator, architectures) if architectures else rows for evaluator in (bench.champion, challenger)
    ]
    figures = comparing.compare(
        rows, predictions[0], predictions[1], params.retrain.bootstrap, derive_seed(params.base.seed, "compare", number)
    )
    verdict = comparing.decide(figures, params.retrain)
    added = bench.round(number)
    record = {
        **added.record,
        "comparison": figures,
        "rules": {name: getattr(params.retrain, name) for name in ("min_gain", "guard_avm", "min_coverage")},
        "champion": _identity(bench.champion_digest, bench.champion),
        "challenger": _identity(digest, challenger),
    }
    decided = added.decided("accepted" if verdict.accepted else "rejected", verdict.reason, record)
    decided = replace(decided, reason=f"{verdict.reason}; {added.reason}")
    write_text(note_file(paths, number), note(decided))
    write_round(paths, decided)
    bench.refresh()
    return decided


def follow(paths: Paths, space: ConfigSpace, digest: str, why: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Let the rounds say what an evaluator of a retraining learned from, so that ``fit`` gives it again.

    Rounds that were accepted after it was there are withdrawn; those that led to it are accepted.

    Args:
        paths: of the workspace.
        space: of the workspace.
        digest: of the evaluator; of none of a retraining: nothing is changed.
        why: what the rounds say.

    Returns:
        The numbers of the rounds that were withdrawn, and of those that were accepted.
    """
    decided = [
        added
        for added in read_rounds(paths, space)
        if added.purpose == RETRAIN and "challenger" in added.record and "champion" in added.record
    ]
    chain: dict[int, Round] = {}
    wanted = digest
    while True:  # from the evaluator back to the one that came from no retraining
        led = (added for added in reversed(decided) if added.record["challenger"]["digest"] == wanted)
        brought = next((added for added in led if added.number not in chain), None)
        if brought is None:
            break
        chain[brought.number] = brought
        wanted = brought.record["champion"]["digest"]
    after = [added.number for added in decided if added.record["champion"]["digest"] == digest]
    first = min(chain, default=min(after, default=None))
    if first is None:
        return (), ()
    withdrawn = [
        added
        for added in decided
        if added.decision == "accepted" and added.number >= first and added.number not in chain
    ]
    accepted = [added for _, added in sorted(chain.items()) if added.decision != "accepted"]
    for added in withdrawn:
        withdraw(paths, added, why)
    for added in accepted:
        kept = {name: value for name, value in added.record.items() if name != "rolled_back"} | {"by_hand": True}
        taken = added.decided("accepted", f"{why}; before that it was rejected: {added.reason}", kept)
        write_text(note_file(paths, added.number), note(taken))
        write_round(paths, taken)
    return tuple(added.number for added in withdrawn), tuple(added.number for added in accepted)


def withdraw(paths: Paths, added: Round, why: str) -> Round:
    """Take back an accepted round: nothing learns from it any more, and no later round carries it over."""
    record = {**added.record, "rolled_back": True}
    taken = added.decided("rejected", f"{why}; before that it was accepted: {added.reason}", record)
    write_text(note_file(paths, added.number), note(taken))
    write_round(paths, taken)
    return taken


def reopen(paths: Paths, added: Round, why: str) -> Round:
    """Let an accepted round wait for its decision again; the next retraining compares anew."""
    kept = {name: value for name, value in added.record.items() if name not in ("comparison", "champion", "challenger")}
    waiting = added.decided("pending", f"{why}; before that it was accepted: {added.reason}", kept)
    write_round(paths, waiting)
    note_file(paths, added.number).unlink(missing_ok=True)
    return waiting


def _identity(digest: str, evaluator: Evaluator) -> Identity:
    tau = evaluator.report_["targets"]["acc_1d"]["kendall_tau"]["value"]
    return {"digest": digest, "rows": evaluator.report_["rows"], "kendall_tau_out_of_fold": tau}
