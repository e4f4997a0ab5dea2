"""AnalogNAS-Bench's table as an evaluator: what a search finds with it is found with every label known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from analognas.errors import CorruptFileError
from analognas.evaluators.base import Context, Evaluator
from analognas.evaluators.columns import COLUMNS, LIMITS, TARGETS
from analognas.folders import read_folder, write_folder
from analognas.search_spaces.nasbench201.table import AnalogNASBench

if TYPE_CHECKING:
    from analognas.evaluators.reporting import Report
    from analognas.search_spaces.architecture import Architecture

_Z90 = 1.645  # half width of a 90 % interval in standard deviations
_FILE = "oracle.json"


class OracleEvaluator(Evaluator):
    """Looks cells up instead of predicting them; there is nothing to fit.

    Its uncertainty is how far cells of one function are apart: what another training would give.

    Args:
        bench: the table; None: that of the installed package.
    """

    def __init__(self, bench: AnalogNASBench | None = None) -> None:
        self.bench = bench or AnalogNASBench()
        self.context_ = Context(dataset=self.bench.dataset, hardware=self.bench.hardware, protocol=self.bench.protocol)
        self.report_: Report = {}
        groups = self.bench.table.groupby("function_id")
        self._std = {target: float(np.sqrt(groups[target].var().dropna().median())) for target in TARGETS}

    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Return self: the table is known."""
        return self

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return the table's values, one row each; see ``Evaluator.predict``.

        Raises:
            SpaceError: if an architecture is not in the table.
        """
        rows = self.bench.evaluate(architectures)
        table: dict[str, Any] = {"id": rows["id"]}
        for target, (least, most) in LIMITS.items():
            value = rows[target].to_numpy(dtype=np.float64)
            half = _Z90 * self._std[target]
            table[target] = value
            table[f"{target}_uncertainty"] = np.full(len(value), self._std[target])
            table[f"{target}_low"] = np.clip(value - half, least, most)
            table[f"{target}_high"] = np.clip(value + half, least, most)
        table["acc_1d_score"] = table["acc_1d"]
        return pd.DataFrame({name: table[name] for name in COLUMNS})

    def save(self, path: Path | str) -> None:
        """Write which table it is; see ``Evaluator.save``."""
        write_folder(Path(path), _FILE, {"table": self.bench.digest}, {})

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the oracle of the installed table.

        Raises:
            CorruptFileError: if the stored one had another table.
        """
        made = cls()
        stored, _ = read_folder(Path(path), _FILE, remedy="make a new OracleEvaluator")
        if stored.get("table") != made.bench.digest:
            raise CorruptFileError(f"{path} holds the oracle of another table: make a new OracleEvaluator.")
        return made
