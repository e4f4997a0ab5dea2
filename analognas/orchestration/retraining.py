"""A retraining as a flow drives it: the bodies of its tasks, and how it is run.

``flows/retrain.py`` of a workspace is the user's; what must live in the installed package is here. As with
``analognas run``, Prefect is loaded only when there is something to do.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from analognas import notices, retraining
from analognas.errors import BusyError, OtherEvaluatorError, StageError
from analognas.orchestration import exchange, flow_run, flows, sessions, watching
from analognas.orchestration.freshness import Freshness
from analognas.orchestration.sessions import Session
from analognas.params import Params
from analognas.progress import RunProgress
from analognas.retraining import Need, Workbench
from analognas.stages import rows
from analognas.stages.rounds import Round
from analognas.stages.running import limit_threads
from analognas.tracking import champions, standing
from analognas.versioning import certainly_stale
from analognas.workspace import Paths, alone, round_name

if TYPE_CHECKING:
    from analognas.retraining.records import AskedFigures, RetrainingSummary, RoundRecord
    from analognas.stages.summaries import FitSummary


@dataclass
class Retraining(Session):
    """A run that retrains the champion.

    Attributes:
        force: whether it goes on without a reason.
        need: whether there is a reason; None: not asked yet.
        round: the round it is about.
        current: whether ``fit`` would give the champion again, were it not for the round.
        shares: whether it has taken what the team has, and gives what it makes.
    """

    force: bool = False
    need: Need | None = None
    round: Round | None = None
    current: bool = False
    shares: bool = False

    _began: float = field(default_factory=time.time)

    def decided_since(self) -> float | None:
        """Return when it began, if it has decided; see ``Session``."""
        return self._began if self.round is not None and self.round.decision != "pending" else None

    @classmethod
    def what(cls) -> str:
        """Return what such a run is called, at the beginning of a sentence."""
        return "A retraining"

    @cached_property
    def bench(self) -> Workbench:
        """The champion and the measurements, which all steps share; see ``Workbench``, also for what it raises."""
        return Workbench(self.params, self.paths)

    def ask(self) -> Need:
        """Fetch what others shared, and return whether the champion needs retraining; a failure is a note."""
        if self.need is None:
            from analognas.versioning.sharing import refresh

            limit_threads(self.params)
            note = None if self.shares else refresh(self.paths)
            if note:
                self.notes.append(note)
                notices.tell(self.paths, "sharing", self.identity, note, run=self.page)
            age = None if self.params.retrain.max_age_days is None else champions.age_days(self.paths)
            self.need = retraining.assess(self.bench, age)
            if not self.need.anything and (last := self._unrecorded()) is not None:
                self.need = replace(self.need, unfinished=last.number)
        return self.need

    def _unrecorded(self) -> Round | None:
        """Return the accepted round whose evaluator is here, if DVC was not told: a run was killed between the two."""
        stale = self.freshness.stale["fit"]
        # If only inputs are others, everything was recorded: colleagues' rounds came in since.
        if self.versioning is None or not certainly_stale(stale) or any(why.startswith("parameter ") for why in stale):
            return None
        last = retraining.newest_accepted(self.paths, self.bench.space)
        return last if last is not None and last.record["challenger"]["digest"] == self.bench.champion_digest else None

    def _promised(self) -> Round | None:
        accepted = self.round is not None and self.round.decision == "accepted"
        return self.round if accepted else super()._promised()

    def summary(self) -> RetrainingSummary:
        """Return what was done, as JSON values."""
        need = self.need or Need(())
        summary: RetrainingSummary = {
            "retrained": self.round is not None,
            "needed": list(need.reasons),
            "figures": cast("AskedFigures", dict(need.figures or {})),
        }
        if self.round is not None:
            added = self.round
            summary |= {"round": added.number, "decision": added.decision, "reason": added.reason}
            summary |= {"record": cast("RoundRecord", dict(added.record))}
        return summary


@contextlib.contextmanager
def session(workspace: str | Path = ".", force: bool = False) -> Iterator[Retraining]:
    """Open a retraining in a workspace; when it ends, also with an error, it is logged to MLflow.

    One by a schedule takes before what the team has, and gives afterwards what it made; see ``exchange``.
    """
    shares = False

    def take(paths: Paths) -> list[str]:
        nonlocal shares
        shares = exchange.wanted(Params.load(paths.params), scheduled=flow_run.by_a_schedule())
        return exchange.begin(paths, Params.load(paths.params)) if shares else []

    watching.begun(Paths.find(Path(workspace)))
    going: Retraining | None = None
    try:
        with sessions.opened(workspace, Retraining, take) as going:
            going.force = going.force or force
            if shares:
                going.shares = True
                _tell_problems(going, going.notes)
            yield going
            finish(going)
    except Exception:  # whoever is to be told of it has been
        if going is not None and going.shares:
            for note in exchange.end(going.paths, going.params, None):
                flow_run.note(note)
        raise


def finish(going: Retraining) -> None:
    """Tell what was decided, and give to the team what a retraining made, if it shares."""
    added = going.round
    if added is not None and added.decision in ("accepted", "rejected"):
        event, what = {
            "accepted": ("promoted", "has taken the champion's place"),
            "rejected": ("rejected", "was rejected, and the champion stays"),
        }[added.decision]
        name = round_name(added.number)
        text = f"The challenger of round {name} in {going.paths.root} {what}: {added.reason}."
        about = f"{name} {added.record.get('challenger', {}).get('digest')}"
        comparison = added.record.get("comparison")
        notices.tell(going.paths, event, about, text, run=going.page, round=name, comparison=comparison)
    if going.shares:
        told = exchange.end(going.paths, going.params, going.summary())
        going.notes += told
        _tell_problems(going, told)


def _tell_problems(going: Retraining, told: list[str]) -> None:
    for text in told:
        notices.tell(going.paths, "sharing", f"{going.identity} {text}", text, run=going.page)


def ask() -> bool:
    """Return whether a round is to be made or gone on with: the body of a task."""
    going = _current()
    need = going.ask()
    if need.unfinished is not None:
        going.round = going.bench.round(need.unfinished)
        _touch(going)
        return False
    return going.force or need.anything


def sentinel() -> int:
    """Draw the sentinel set unless there is one: the body of a task. Returns its size."""
    going = _current()
    going.progress("sentinel", 0, 1, "drawing the sentinel set")
    return retraining.draw_sentinel(going.bench)


def propose() -> int:
    """Propose a round, or take up the one that waits for its decision: the body of a task. Returns its number."""
    going = _current()
    learnable = set(rows.usable(going.bench.learnable())["id"])
    going.current = not certainly_stale(going.freshness.stale["fit"]) and going.bench.learned == learnable
    going.progress("propose", 0, 1, "proposing architectures")
    going.round = retraining.open_round(going.bench, going.need or Need(()), force=going.force)
    going.progress("propose", 1, 1, f"round {round_name(going.round.number)}: {len(going.round.entries)} architectures")
    _touch(going)
    return going.round.number


def challenge() -> FitSummary:
    """Fit the challenger: the body of a task. Returns the report of its fit."""
    going, number = _current(), _number()
    going.progress("challenge", 0, 1, "fitting the challenger")
    return retraining.challenge(going.bench, number)


def decide() -> RoundRecord:
    """Compare challenger and champion and write the decision: the body of a task. Returns its figures."""
    going, number = _current(), _number()
    going.round = retraining.conclude(going.bench, number)
    going.progress("decide", 1, 1, f"round {round_name(number)} {going.round.decision}: {going.round.reason}")
    return cast("RoundRecord", dict(going.round.record))


def refit() -> Any:
    """Fit the evaluator anew if a round was accepted, or if that gives the champion again: the body of a task.

    Nothing but what was compared takes the place of ``data/evaluator/``; see ``Session.run``.
    """
    from prefect.states import Completed

    going = _current()
    added = going.round
    accepted = added is not None and added.decision == "accepted"
    brought = {} if added is None else added.record.get("challenger", {})
    installed = brought.get("digest") == going.bench.champion_digest
    if accepted and not installed:
        return sessions.stage("fit")
    if going.current or accepted:  # nothing is to change
        try:
            return sessions.stage("fit", going.bench.champion_digest)
        except OtherEvaluatorError as error:
            going.notes.append(f"{error} The next `analognas run` fits it anew.")
    return Completed(name="Kept", message="The champion stays as it is", data=None)


def ended(going: Retraining) -> Any:
    """Return what the flow returns at its end: the summary, in a state that says what the user should know."""
    return sessions.ended(going, going.summary())


def left_out(busy: BusyError) -> Any:
    """Return the state of a flow run that was due while another run works in its workspace: it ends, and says so."""
    from prefect.states import Completed

    return Completed(name="Skipped", message=f"Left out: {busy}", data=None)


def run_retraining(
    paths: Paths,
    params: Params,
    *,
    force: bool = False,
    progress: RunProgress = lambda *_: None,
    verbose: bool = False,
    taken: list[str] | None = None,
) -> Retraining:
    """Run the flow ``retrain`` of a workspace if it is needed, or with ``force``, and return the retraining.

    It tells what was done and what the user should know. What a step raises comes through as it is, and what was done
    before it stays. ``verbose`` shows Prefect's log on the terminal. ``taken`` is what ``exchange.begin`` told; then it
    gives to the team what it made, too.
    """
    with alone(paths):
        going = Retraining(paths, params, Freshness.of(paths, params), progress, force=force, shares=taken is not None)
        going.notes += taken or []
        if going.ask().anything or force:
            flows.run_flow(going, "retrain", force, verbose=verbose)
        else:
            finish(going)
            if note := standing.sentence(paths):
                going.notes.append(note)
    return going


def next_steps(done: RetrainingSummary, kept: str | None = None) -> str:
    """Return what was done and what comes next, for a terminal; ``kept`` is the branch that it is committed on."""
    if not done["retrained"]:
        newest, age = done["figures"]["newest"], done["figures"]["age_days"]
        figures = [
            f"{done['figures']['new_rows']} new rows",
            "age unknown" if age is None else f"{age:.1f} days old",
            f"{newest['architectures']} rows that it has not learned from",
        ]
        if newest["kendall_tau"] is not None:
            figures.append(f"on these Kendall tau {newest['kendall_tau']:.2f}, coverage {newest['coverage']:.0%}")
        return f"The champion needs no retraining ({', '.join(figures)}); --force does it anyway."
    name = round_name(done["round"])
    text = f"Round {name} {done['decision']}: {done['reason']}. See data/rounds/{name}.md."
    if done["decision"] == "accepted":
        text += "\nNext: `analognas run` searches and trains with it; `analognas champion rollback` undoes it."
    if kept is not None:
        return f"{text}\nCommitted on the branch {kept}."
    return text + "\nReady to commit: git add params.yaml dvc.lock data"


def _current() -> Retraining:
    run = sessions.going_on()
    if not isinstance(run, Retraining):
        raise StageError("No retraining is going on: call its tasks within `retraining.session(workspace)`.")
    return run


def _number() -> int:
    added = _current().round
    if added is None:
        raise StageError("There is no round to decide about: call `propose` before it.")
    return added.number


def _touch(going: Retraining) -> None:
    """Take notice that ``data/rounds`` changed after DVC was asked."""
    stale = {stage: [*going.freshness.stale[stage], "a round changed"] for stage in ("characterize", "fit")}
    going.freshness = replace(going.freshness, stale=going.freshness.stale | stale)
