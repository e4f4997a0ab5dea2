"""The contract of every evaluator (surrogate), whatever it learns with.

An evaluator predicts, for any architecture of its space, what a characterization would measure; each
prediction comes with how far it can be trusted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from analognas.errors import InputError, MismatchError, NotFittedError
from analognas.evaluators.columns import TARGETS
from analognas.tables import PREDICTIONS, RESULTS

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators.evidence import Evidence
    from analognas.evaluators.reporting import Report
    from analognas.search_spaces.architecture import Architecture


@dataclass(frozen=True)
class Context:
    """What an evaluator was fitted for, as ids; an empty one is unknown and fits everything."""

    space: str = ""
    dataset: str = ""
    hardware: str = ""
    protocol: str = ""

    @classmethod
    def of(cls, space: str, results: pd.DataFrame) -> Context:
        """Return the context of measured rows: each id is the one value of its column, if there is one.

        Raises:
            MismatchError: if the rows were measured in several spaces, on several datasets or hardwares, or by
                several protocols.
        """
        ids = {"space": space}
        for field in fields(cls):
            if field.name not in results:
                continue
            values = sorted({str(value) for value in results[field.name].dropna()} - {""})
            if field.name == "space" and values:
                values = sorted({space, *values})
            if len(values) > 1:
                raise MismatchError(
                    f"The results have several values of {field.name} ({', '.join(values[:3])}): fit one evaluator "
                    "for each."
                )
            if values:
                ids[field.name] = values[0]
        return cls(**ids)

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for value in asdict(self).values()):
            raise TypeError("the ids of a context are texts")

    def check(self, **expected: str | None) -> None:
        """Raise MismatchError if one of these ids differs from its own; None and empty ids fit."""
        for name, theirs in expected.items():
            own = asdict(self)[name]
            if own and theirs and own != theirs:
                raise MismatchError(
                    f"The evaluator was fitted for the {name} {own!r}, not for {theirs!r}: use its own {name}, or fit "
                    "an evaluator for this one."
                )


class Evaluator(ABC):
    """Predicts ``acc_1d`` (and its rank), ``avm`` and ``acc_1d_std`` of architectures.

    ``__init__`` only stores its arguments; what is learned ends in an underscore.

    Attributes:
        context_: what it was fitted for.
        report_: how well it predicts architectures that it has not seen (JSON-serializable).
        out_of_fold_: the predictions behind it, with a column ``<target>_measured`` for each target.
        evidence_: what it learned from, for ``assess``; None if it was fitted without a report.
    """

    context_: Context
    report_: Report
    out_of_fold_: pd.DataFrame
    evidence_: Evidence | None = None

    @abstractmethod
    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Learn from measured architectures and return self.

        Args:
            architectures: n of them, all of one space.
            results: n rows in the same order with the columns ``acc_1d``, ``avm`` and ``acc_1d_std``. Rows
                whose ``status`` is not "ok" and rows with a missing value are left out; an impossible one is
                refused (``tables.RESULTS``). A column ``id`` tells whether the order is the same. The columns
                ``space``, ``dataset``, ``hardware`` and ``protocol``, where they are there, become ``context_``.

        Raises:
            InputError: if rows or columns do not fit or are too few.
            MismatchError: if the rows do not belong together.
        """

    @abstractmethod
    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return one row per architecture, in order, with the columns ``COLUMNS``.

        ``id``; the targets in their units; ``<target>_uncertainty``: what the evaluator does not know, as a
        standard deviation; ``<target>_low`` and ``<target>_high``: 90 % interval for a new measurement;
        ``acc_1d_score``: rank score, higher is better, no unit.

        Raises:
            NotFittedError: if it was not fitted.
            MismatchError: if an architecture is of another space.
        """

    def assess(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return what is known of architectures: ``predict``, and where they were measured, that weighed against it.

        The columns are those of ``predict`` and ``measured`` (bool). Of a measured architecture value, uncertainty and
        interval are those of ``Evidence``: its measurement, shrunk towards what is predicted without it.
        """
        from analognas.evaluators.evidence import weighed

        return weighed(predicted(self, architectures), self.evidence_)

    @abstractmethod
    def save(self, path: Path | str) -> None:
        """Write the evaluator to a directory: a new or an empty one, or one of an evaluator, which is replaced whole.

        The same evaluator gives the same bytes. ``analognas.folders.write_folder`` does all of this.

        Raises:
            NotFittedError: if it was not fitted.
            WorkspaceError: if the directory holds anything else, which stays, or cannot be written.
        """

    @classmethod
    @abstractmethod
    def load(cls, path: Path | str) -> Self:
        """Return the evaluator of a directory; it predicts exactly what the saved one did.

        Raises:
            CorruptFileError: if a file is missing, damaged or of something else.
        """

    def check(
        self,
        *,
        space: str | None = None,
        dataset: str | None = None,
        hardware: str | None = None,
        protocol: str | None = None,
    ) -> None:
        """Raise MismatchError if the evaluator was fitted for another one of these ids.

        Raises:
            NotFittedError: if it was not fitted.
        """
        if not hasattr(self, "context_"):
            raise NotFittedError(f"This {type(self).__name__} was not fitted: call fit(architectures, results) first.")
        self.context_.check(space=space, dataset=dataset, hardware=hardware, protocol=protocol)

    def score(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> float:
        """Return Kendall's tau between ``acc_1d_score`` and the measured ``acc_1d`` (NaN if that is constant).

        Rows that ``fit`` would leave out are left out.

        Raises:
            InputError: if the results are not those of the architectures, one row each in their order, or impossible.
        """
        from analognas.evaluators.metrics import kendall_tau

        chosen, rows = usable_rows(architectures, results, 0)
        return kendall_tau(rows["acc_1d"].to_numpy(), predicted(self, chosen)["acc_1d_score"].to_numpy())


def predicted(evaluator: Evaluator, architectures: Sequence[Architecture]) -> pd.DataFrame:
    """Return ``Evaluator.predict`` of these architectures.

    Raises:
        MismatchError: if that is no table of predictions, or has other rows than one for each architecture, in order.
    """
    return _checked(evaluator, "predict", evaluator.predict(architectures), architectures)


def assessed(evaluator: Evaluator, architectures: Sequence[Architecture]) -> pd.DataFrame:
    """Return ``Evaluator.assess`` of these architectures; raises what ``predicted`` raises."""
    frame = evaluator.assess(architectures)
    if type(evaluator).assess is Evaluator.assess:  # which has looked at what was predicted
        return frame
    return _checked(evaluator, "assess", frame, architectures)


def _checked(
    evaluator: Evaluator, method: str, frame: pd.DataFrame, architectures: Sequence[Architecture]
) -> pd.DataFrame:
    return PREDICTIONS.check(
        frame,
        f"What {type(evaluator).__name__}.{method} returned",
        remedy=f"let {method} return one row for each architecture, in their order, as Evaluator.predict says",
        error=MismatchError,
        ids=[architecture.id for architecture in architectures],
    )


def usable_rows(
    architectures: Sequence[Architecture], results: pd.DataFrame, least: int
) -> tuple[list[Architecture], pd.DataFrame]:
    """Return the measured architectures and their rows (index 0, 1, ...), without the failed ones.

    Raises:
        InputError: if the rows are not those of the architectures, a column is missing, a value is no number or
            impossible, or fewer than ``least`` different architectures are left.
    """
    import numpy as np
    import pandas as pd

    RESULTS.check(
        results,
        "What was measured",
        remedy="give one row for each architecture, in their order, with percent, percentage points, or NaN",
        error=InputError,
        ids=[architecture.id for architecture in architectures],
    )
    values = pd.DataFrame({target: _floats(results[target]) for target in TARGETS})
    results = results.reset_index(drop=True)
    keep = np.isfinite(values.to_numpy()).all(axis=1)
    if "status" in results:
        keep &= (results["status"] == "ok").to_numpy(dtype=bool)
    distinct = len({architecture.id for architecture, use in zip(architectures, keep, strict=True) if use})
    if distinct < least:
        statuses = results["status"] if "status" in results else pd.Series(dtype=object)
        failed = " and ".join(f"{n} {name}" for name, n in statuses.value_counts().items() if name != "ok")
        remedy = f"{failed}: see their reason, lower the learning rate or change the chip, or " if failed else ""
        raise InputError(
            f"Only {distinct} of {len(results)} results can be used (different architectures, status ok, all of "
            f"{', '.join(TARGETS)} measured), but at least {least} are needed; {remedy}characterize more architectures."
        )
    chosen = [architecture for architecture, use in zip(architectures, keep, strict=True) if use]
    rows = pd.concat([results.drop(columns=list(TARGETS)), values], axis=1)
    return chosen, rows[keep].reset_index(drop=True)


def _floats(cells: Iterable[Any]) -> list[float]:
    """Return numbers and empty cells as floats, NaN for these."""
    import pandas as pd

    return [float("nan") if pd.isna(value) else float(value) for value in cells]
