"""Characterizations that are looked up instead of measured: ``characterize.source: analognas-bench``."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import MismatchError
from analognas.hardware.cost import tiles
from analognas.hardware.rpu_config import overrides
from analognas.rows import ResultRow

if TYPE_CHECKING:
    from analognas.params import HardwareParams, Params
    from analognas.search_spaces import Architecture
    from analognas.search_spaces.nasbench201.table import AnalogNASBench

#: The values of ``characterize.source`` that are tables.
TABLES = ("analognas-bench",)

_SPACE = "nasbench201"
_HARDWARE = "analognas-bench"
#: Why a row has no values, by whether it is doubtful.
_REASONS = {
    False: "the table has no value",
    True: "the table says that noisy devices are more accurate than the digital network, beyond all noise",
}


def is_table(params: Params) -> bool:
    """Return whether results are looked up."""
    return params.characterize.source in TABLES


def check(params: Params) -> None:
    """Refuse what the table does not hold.

    Raises:
        MismatchError: if space or hardware are others.
    """
    if not is_table(params):
        return
    source = params.characterize.source
    if params.space.name != _SPACE or params.space.ranges:
        raise MismatchError(
            f"characterize.source {source} holds the cells of space.name {_SPACE} without ranges: set these, or "
            "characterize.source to training."
        )
    if params.hardware.rpu_config != _HARDWARE:
        raise MismatchError(
            f"characterize.source {source} was measured on hardware.rpu_config {_HARDWARE}: set it, or "
            "characterize.source to training."
        )
    if changed := overrides(params.hardware):
        raise MismatchError(
            f"characterize.source {source} was measured on {_HARDWARE} as it is: set hardware.{next(iter(changed))} to "
            "null, or characterize.source to training."
        )


@functools.lru_cache(maxsize=1)
def table() -> AnalogNASBench:
    """Return the table, which a process reads once; raises DatasetError if it is not installed or damaged."""
    from analognas.search_spaces.nasbench201 import AnalogNASBench

    return AnalogNASBench()


def row(architecture: Architecture, hardware: HardwareParams) -> ResultRow:
    """Return the result of an architecture as ``training.protocol`` gives one; what the table lacks is missing.

    Its AVM starts at 60 s, and its standard deviation is that of 25 re-reads of one programming; there are no
    standard errors, because one training and one programming are behind each row. A doubtful row has no AVM there, and
    no values here.
    """
    published = table().evaluate([architecture]).iloc[0]
    values = {
        name: float(published[name])
        for name in (
            "acc_digital",
            "acc_hwa",
            "acc_1h",
            "acc_1h_std",
            "acc_1d",
            "acc_1d_std",
            "acc_30d",
            "acc_30d_std",
            "avm",
        )
        if name in published
    }
    ok = bool(np.isfinite([values["acc_1d"], values["acc_1d_std"], values["avm"]]).all())
    return ResultRow(
        id=architecture.id,
        space=architecture.space.name,
        genes=architecture.genes.to_json(),
        params=architecture.params,
        tiles=tiles(architecture.structure, hardware.tile_shape),
        status="ok" if ok else "diverged",
        reason="" if ok else _REASONS[bool(published["doubtful"])],
        repeats=25,
        measured=values if ok else {},
    )


def twin_std() -> dict[str, float]:
    """Return how far apart cells of one function are (standard deviation, percentage points), by column.

    Pooled over functions of several cells whose mean accuracy after a day is in the upper half: the luck of one
    training and one programming, which is in every row of the table.
    """
    frame = table().table
    means = frame.groupby("function_id")["acc_1d"].transform("mean")
    good = frame[means >= means.median()]
    groups = good.groupby("function_id")
    spread = {}
    for name in ("acc_1d", "acc_30d", "avm"):
        sizes = groups[name].count()  # doubtful rows have no AVM
        variances = groups[name].var()[sizes > 1]
        weights = sizes[sizes > 1] - 1
        spread[name] = math.sqrt(float((variances * weights).sum() / weights.sum()))
    return spread
