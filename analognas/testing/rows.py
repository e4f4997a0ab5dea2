"""Result rows with made-up figures, for tests and benchmarks of what stores and passes them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analognas.rows import ResultRow
from analognas.search_spaces.genes import Genes
from analognas.tables import architecture_id
from analognas.training.columns import measured_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analognas.search_spaces.architecture import Architecture

_TIMES = (1.0, 3600.0, 86_400.0, 2_592_000.0)


def made_up_row(
    architecture: Architecture,
    *,
    status: str = "ok",
    reason: str = "",
    times: Sequence[float] = _TIMES,
    **values: float,
) -> ResultRow:
    """Return a result of an architecture.

    Args:
        architecture: whose it is.
        status: unless it is ``ok`` nothing was measured.
        reason: why not.
        times: seconds after programming.
        values: measured values by column; the others are made up.
    """
    columns = dict.fromkeys(measured_columns(times), 90.0 if status == "ok" else None)
    if status == "ok":
        columns |= {name: 0.5 for name in columns if name.endswith(("_std", "_sem"))} | {"avm": 2.0} | values
    return ResultRow(
        id=architecture.id,
        space=architecture.space.name,
        genes=architecture.genes.to_json(),
        params=architecture.params,
        tiles=1,
        status=status,
        reason=reason,
        repeats=2,
        measured=columns,
    )


def made_up_result(number: int, acc_1d: float = 90.0) -> tuple[dict[str, Any], ResultRow]:
    """Return what decides a result and the result, of an architecture that is no more than a number."""
    genes = Genes({"number": number}).to_json()
    name = architecture_id("made-up", genes)
    row = ResultRow(name, "made-up", genes, 1_000, 1, "ok", "", 2, {"acc_1d": acc_1d, "acc_1d_std": 0.5, "avm": 2.0})
    return {"architecture": {"id": name, "genes": {"number": number}}, "seed": 0}, row
