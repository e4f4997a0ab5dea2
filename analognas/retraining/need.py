"""Whether the champion needs retraining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analognas.evaluators.base import predicted
from analognas.files import file_digest
from analognas.retraining import comparing
from analognas.retraining.records import NeedFigures, Ranking
from analognas.retraining.workbench import Workbench
from analognas.stages.rounds import Round, read_rounds
from analognas.stages.rows import usable

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths

#: What marks a round of ``analognas retrain``.
RETRAIN = "retrain"


@dataclass(frozen=True)
class Need:
    """Whether the champion needs retraining.

    Args:
        reasons: why, one clause each; none if it does not.
        figures: ``newest`` (``comparing.ranking`` of rows it has not learned from), ``new_rows`` (count),
            ``age_days`` (None: unknown).
        pending: number of the round that waits for its decision, or None.
        unfinished: number of the accepted round whose evaluator is not ``data/evaluator/`` yet, or None.
    """

    reasons: tuple[str, ...]
    figures: NeedFigures | None = None
    pending: int | None = None
    unfinished: int | None = None

    @property
    def anything(self) -> bool:
        """Whether there is something to do."""
        return bool(self.reasons) or self.pending is not None or self.unfinished is not None


def assess(bench: Workbench, age_days: float | None = None) -> Need:
    """Return whether the champion needs retraining.

    Args:
        bench: of the workspace.
        age_days: of the champion; None: unknown.

    Raises:
        CorruptFileError: if a file is damaged.
    """
    rounds = [added for added in read_rounds(bench.paths, bench.space) if added.purpose == RETRAIN]
    pending = next((added.number for added in rounds if added.decision == "pending"), None)
    if pending is not None:
        return Need((), pending=pending)
    last = promised(bench.paths, bench.space)
    if last is not None:
        return Need((), unfinished=last.number)
    rows = usable(bench.measured)
    # What a rejected round brought has had its comparison: it is no reason for another one.
    unseen = rows[~rows["id"].isin(bench.learned) & (rows["role"] != "sentinel") & (rows["decision"] == "accepted")]
    unseen = unseen.sort_values("round", kind="stable")
    architectures = [bench.by_id[name].architecture for name in unseen["id"]]
    architectures += [architecture for architecture, _ in bench.shared]
    values = [*map(float, unseen["acc_1d"]), *(row["acc_1d"] for _, row in bench.shared)]
    newest = slice(max(0, len(architectures) - bench.params.retrain.newest), None)
    figures: NeedFigures = {
        "newest": _ranking(bench.champion, architectures[newest], values[newest]),
        "new_rows": len(architectures),
        "age_days": age_days,
    }
    return Need(tuple(comparing.reasons(figures, bench.params.retrain)), figures)


def promised(paths: Paths, space: ConfigSpace) -> Round | None:
    """Return the newest accepted round if ``data/evaluator/`` is still the champion that it was compared with.

    Its challenger, and nothing else, may take that place: a run was killed between the decision and the end of the fit.
    """
    newest = newest_accepted(paths, space)
    if newest is None or not paths.evaluator.is_dir():
        return None
    return newest if newest.record["champion"]["digest"] == file_digest(paths.evaluator) else None


def newest_accepted(paths: Paths, space: ConfigSpace) -> Round | None:
    """Return the newest round of a retraining that was accepted after a comparison, None if there is none."""
    compared = (
        added
        for added in reversed(read_rounds(paths, space))
        if added.purpose == RETRAIN and added.decision == "accepted" and "comparison" in added.record
    )
    return next(compared, None)


def _ranking(champion: Evaluator, architectures: Sequence[Architecture], values: Sequence[float]) -> Ranking:
    import pandas as pd

    table = predicted(champion, architectures) if architectures else pd.DataFrame()
    return comparing.ranking(pd.DataFrame({"acc_1d": values}), table)
