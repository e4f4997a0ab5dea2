"""A retraining as a flow drives it: the bodies of its tasks, and how it is run.

``flows/retrain.py`` of a workspace is the user's; what must live in the installed package is here. As with
``analognas run``, Prefect is loaded only when there is something to do.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analognas import retraining
from analognas.errors import StageError
from analognas.orchestration import flows, sessions
from analognas.orchestration.sessions import Freshness, Progress, Session
from analognas.params import Params
from analognas.retraining import Need, workbench
from analognas.stages import inputs, rows
from analognas.stages.rounds import Round, read_rounds
from analognas.tracking import champions
from analognas.versioning import certainly_stale
from analognas.workspace import Paths, alone


@dataclass
class Retraining:
    """One retraining that is going on.

    Attributes:
        here: the run it is part of.
        force: whether it goes on without a reason.
        need: whether there is a reason; None: not asked yet.
        round: the round it is about.
        current: whether ``fit`` would give the champion again, were it not for the round.
    """

    here: Session
    force: bool = False
    need: Need | None = None
    round: Round | None = None
    current: bool = False

    def summary(self) -> dict[str, Any]:
        """Return what was done, as JSON values."""
        need = self.need or Need(())
        found: dict[str, Any] = {
            "retrained": self.round is not None,
            "needed": list(need.reasons),
            "figures": dict(need.figures),
        }
        if self.round is not None:
            added = self.round
            found |= {"round": added.number, "decision": added.decision, "reason": added.reason}
            found |= {"record": dict(added.record)}
        return found


_going_on: ContextVar[Retraining | None] = ContextVar("analognas_retraining", default=None)
_prepared: ContextVar[Retraining | None] = ContextVar("analognas_prepared_retraining", default=None)


def pull(paths: Paths) -> str | None:
    """Fetch results that others shared; return a sentence if that failed, which is no reason to stop."""
    from analognas.versioning.sharing import refresh

    return refresh(paths)


def ask(params: Params, paths: Paths) -> Need:
    """Return whether the champion needs retraining; see ``retraining.look``."""
    os.environ.setdefault("OMP_NUM_THREADS", str(params.base.threads))
    age = None if params.retrain.max_age_days is None else champions.age_days(paths)
    return retraining.look(params, paths, age)


@contextlib.contextmanager
def session(workspace: str | Path = ".", force: bool = False) -> Iterator[Retraining]:
    """Open a retraining in a workspace; when it ends, also with an error, it is logged to MLflow.

    Raises:
        WorkspaceError: if another run works there.
    """
    with sessions.session(workspace) as here:
        prepared = _prepared.get()
        found = Retraining(here, force) if prepared is None or prepared.here is not here else prepared
        token = _going_on.set(found)
        try:
            yield found
        finally:
            _going_on.reset(token)


def look() -> bool:
    """Return whether a round is to be made or gone on with: the body of a task."""
    going = _current()
    here = going.here
    if going.need is None:
        note = pull(here.paths)
        here.notes += [note] if note else []
        going.need = ask(here.params, here.paths)
    need = going.need
    if need.unfinished is not None:
        space = inputs.space(here.params, here.paths)
        going.round = next(one for one in read_rounds(here.paths, space) if one.number == need.unfinished)
        _touch(here)
        return False
    return going.force or need.anything


def sentinel() -> int:
    """Draw the sentinel set unless there is one: the body of a task. Returns its size."""
    here = _current().here
    here.progress("sentinel", 0, 1, "drawing the sentinel set")
    return retraining.draw_sentinel(here.params, here.paths)


def propose() -> int:
    """Propose a round, or take up the one that waits for its decision: the body of a task. Returns its number."""
    going = _current()
    here = going.here
    bench = workbench.Workbench(here.params, here.paths)
    going.current = not certainly_stale(here.freshness.stale["fit"]) and bench.learned == set(
        rows.usable(bench.learnable())["id"]
    )
    here.progress("propose", 0, 1, "proposing architectures")
    going.round = retraining.open_round(here.params, here.paths, going.need or Need(()), force=going.force)
    here.progress("propose", 1, 1, f"round {going.round.number:03d}: {len(going.round.entries)} architectures")
    _touch(here)
    return going.round.number


def challenge() -> dict[str, Any]:
    """Fit the challenger: the body of a task. Returns the report of its fit."""
    here, number = _current().here, _number()
    here.progress("challenge", 0, 1, "fitting the challenger")
    return retraining.challenge(here.params, here.paths, number)


def decide() -> dict[str, Any]:
    """Compare challenger and champion and write the decision: the body of a task. Returns its figures."""
    going, number = _current(), _number()
    here = going.here
    going.round = retraining.conclude(here.params, here.paths, number)
    here.progress("decide", 1, 1, f"round {number:03d} {going.round.decision}: {going.round.reason}")
    return dict(going.round.record)


def refit() -> Any:
    """Fit the evaluator anew if a round was accepted, or if that gives the champion again: the body of a task."""
    from prefect.states import Completed

    going = _current()
    accepted = going.round is not None and going.round.decision == "accepted"
    if accepted or going.current:
        return sessions.stage("fit")
    return Completed(name="Kept", message="The champion stays as it is", data=None)


def run_retraining(
    paths: Paths,
    params: Params,
    need: Need,
    *,
    force: bool = False,
    progress: Progress = lambda *_: None,
    verbose: bool = False,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Run the flow ``retrain`` of a workspace, as ``orchestration.run_pipeline`` does the pipeline's.

    Args:
        paths: of the workspace, prepared.
        params: its parameters.
        need: whether the champion needs retraining.
        force: go on without a reason.
        progress: called as the steps get on.
        verbose: show Prefect's log on the terminal.

    Returns:
        What was done (see ``Retraining.summary``), and what the user should know, one sentence each.

    Raises:
        AnalogNASError: what a step raises comes through as it is; what was done before it stays.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(params.base.threads))
    going = Retraining(Session(paths, params, Freshness.of(paths, params), progress), force, need)
    if not (force or need.anything):
        return going.summary(), ()
    with alone(paths):  # refused before the seconds that a server takes
        pass
    token = _prepared.set(going)
    try:
        flows.run_flow(going.here, "retrain", force, verbose=verbose)
    finally:
        _prepared.reset(token)
    return going.summary(), going.here.report.notes


def next_steps(done: dict[str, Any]) -> str:
    """Return what was done and what comes next, for a terminal."""
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
    name = f"{done['round']:03d}"
    text = f"Round {name} {done['decision']}: {done['reason']}. See data/rounds/{name}.md."
    if done["decision"] == "accepted":
        text += "\nNext: `analognas run` searches and trains with it; `analognas champion rollback` undoes it."
    return text + "\nReady to commit: git add dvc.lock data/rounds data/metrics"


def _current() -> Retraining:
    found = _going_on.get()
    if found is None:
        raise StageError("No retraining is going on: call its tasks within `retraining.session(workspace)`.")
    return found


def _number() -> int:
    found = _current().round
    if found is None:
        raise StageError("There is no round to decide about: call `propose` before it.")
    return found.number


def _touch(here: Session) -> None:
    """Take notice that ``data/rounds`` changed after DVC was asked."""
    stale = {stage: [*here.freshness.stale[stage], "a round changed"] for stage in ("characterize", "fit")}
    here.freshness = replace(here.freshness, stale=here.freshness.stale | stale)
