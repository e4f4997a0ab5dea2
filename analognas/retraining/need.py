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
    from analognas.search_spaces import Architecture
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
        unfinished: number of the accepted round that ``data/evaluator/`` does not hold yet, or None.
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
    if rounds and _unfinished(rounds[-1], bench.paths):
        return Need((), unfinished=rounds[-1].number)
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


def _unfinished(last: Round, paths: Paths) -> bool:
    """Return whether a run was killed between an acceptance and the end of the fit."""
    return last.decision == "accepted" and file_digest(paths.evaluator) == last.record["champion"]["digest"]


def _ranking(champion: Evaluator, architectures: Sequence[Architecture], values: Sequence[float]) -> Ranking:
    import pandas as pd

    table = predicted(champion, architectures) if architectures else pd.DataFrame()
    return comparing.ranking(pd.DataFrame({"acc_1d": values}), table)
