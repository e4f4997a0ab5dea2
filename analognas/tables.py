"""Every table that passes from one room, file or person to another, described as data.

A table is held to its description where it comes in: a frame that somebody gives to the library or that an evaluator
of somebody else's returns, a file that a stage reads, a result from the store, a worker or a remote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from analognas.columns import ID, TEXT, TRUTH, WHOLE, Column, Table, is_empty, measured, shown

if TYPE_CHECKING:
    import pandas as pd

#: What becomes of a characterization: measured, a training whose numbers were not finite, a network not trained.
STATUSES = ("ok", "diverged", "too_large")
#: What an architecture is characterized for; the row of one that was characterized again is a replicate.
ROLES = ("sample", "round", "sentinel", "replicate")
#: What became of a round.
DECISIONS = ("accepted", "pending", "rejected")
#: What is predicted, and what every usable result has: accuracy after one day (percent), accuracy variation of one
#: month and standard deviation of the accuracy after one day (percentage points).
TARGETS = ("acc_1d", "avm", "acc_1d_std")


def architecture_id(space: str, genes: str) -> str:
    """Return 16 hexadecimal digits: the hash of the space's name and the canonical text of the genes."""
    return hashlib.sha256(f"{space}\n{genes}".encode()).hexdigest()[:16]


def problem_of_result(row: object) -> str | None:
    """Return what is wrong with the result of one characterization, as the end of a sentence; None if nothing is.

    Args:
        row: the columns of ``RESULT``, and measured ones.
    """
    if not isinstance(row, Mapping):
        return "is no mapping of columns to values"
    known = {column.name: column for column in RESULT.columns}
    for name, column in known.items():
        if problem := column.wrong(row.get(name)):
            return problem
    for name, value in row.items():
        column_of_it = known.get(name) or (measured(name) if isinstance(name, str) else None)
        if column_of_it is None:
            return f"has {shown(name)}, which no result has"
        if problem := column_of_it.wrong(value):
            return problem
    if (own := architecture_id(row["space"], row["genes"])) != row["id"]:
        return f"has the id {row['id']}, its genes are those of {own}"
    if row["status"] == "ok":
        lacking = next((name for name in TARGETS if is_empty(row.get(name))), None)
        return None if lacking is None else f"is ok and has no {lacking}"
    extra = next((name for name, value in row.items() if measured(name) and not is_empty(value)), None)
    return None if extra is None else f"is {row['status']} and has {extra} all the same"


def _ids_belong(frame: pd.DataFrame) -> str | None:
    for row, (name, space, genes) in enumerate(zip(frame["id"], frame["space"], frame["genes"], strict=True)):
        if (own := architecture_id(space, genes)) != name:
            return f"row {row} has the id {name}, its genes are those of {own}"
    return None


def _each_once(frame: pd.DataFrame) -> str | None:
    rows = frame[["id"]].assign(again=frame["role"] == "replicate" if "role" in frame else False)
    twice = rows.duplicated().to_numpy()
    return f"row {(row := int(twice.argmax()))} is of {frame['id'].iloc[row]} again" if twice.any() else None


def _measured_if_ok(frame: pd.DataFrame) -> str | None:
    ok = (frame["status"] == "ok").to_numpy()
    for name in frame.columns:
        if measured(name) is None:
            continue
        empty = frame[name].isna().to_numpy()
        wrong = ok & empty
        if name in TARGETS and wrong.any():
            return f"row {int(wrong.argmax())} is ok and has no {name}"
        wrong = ~ok & ~empty
        if wrong.any():
            row = int(wrong.argmax())
            return f"row {row} is {frame['status'].iloc[row]} and has {name} all the same"
    return None


def _of_rounds(frame: pd.DataFrame) -> str | None:
    """Whether rows of rounds have their number, and only these another decision than accepted."""
    of_round = (frame["role"] == "round").to_numpy()
    wrong = of_round != (frame["round"] > 0).to_numpy()
    wrong |= ~of_round & (frame["decision"] != "accepted").to_numpy()
    if not wrong.any():
        return None
    row = frame.iloc[int(wrong.argmax())]
    return f"row {int(wrong.argmax())} has the role {row['role']}, the round {row['round']} and is {row['decision']}"


def _intervals(frame: pd.DataFrame) -> str | None:
    for target in TARGETS:
        wrong = frame[f"{target}_low"].to_numpy() > frame[f"{target}_high"].to_numpy()
        if wrong.any():
            return f"row {int(wrong.argmax())} has {target}_low above {target}_high"
    return None


_IDENTITY = (Column("id", TEXT, pattern=ID), Column("space", TEXT, pattern=".+"), Column("genes", TEXT, pattern=".+"))
_SIZES = (Column("params", WHOLE, least=1), Column("tiles", WHOLE, least=1))
_OUTCOME = (Column("status", TEXT, among=STATUSES), Column("reason", TEXT), Column("repeats", WHOLE, least=1))


def _needed(*names: str) -> tuple[Column, ...]:
    return tuple(replace(column, needed=True) for name in names if (column := measured(name)) is not None)


#: ``data/architectures.parquet``: the sample.
ARCHITECTURES = Table("table of architectures", (*_IDENTITY, *_SIZES), closed=True, rules=(_ids_belong, _each_once))

#: One result of a characterization, but for its measured columns; see ``problem_of_result``.
RESULT = Table("result", (*_IDENTITY, *_SIZES, *_OUTCOME), closed=True)

#: ``data/surrogate.parquet``: one row for each characterized architecture, two for one that was characterized again.
CHARACTERIZED = Table(
    "table of characterized architectures",
    (
        *_IDENTITY,
        *(Column(name, TEXT, pattern=".+") for name in ("dataset", "hardware", "protocol")),
        Column("role", TEXT, among=ROLES),
        Column("round", WHOLE, least=0),
        Column("decision", TEXT, among=DECISIONS),
        *_OUTCOME,
        *_SIZES,
        *_needed(*TARGETS),
    ),
    closed=True,
    rules=(_ids_belong, _each_once, _of_rounds, _measured_if_ok),
)

#: What an evaluator learns from; a row without a value or with another status than ok is left out.
RESULTS = Table(
    "table of results",
    (
        *_needed(*TARGETS),
        Column("id", TEXT, needed=False),
        Column("status", TEXT, among=STATUSES, needed=False),
        *(Column(name, TEXT, needed=False, missing=True) for name in ("space", "dataset", "hardware", "protocol")),
    ),
)

#: What a search is told, measured or predicted; a row without a value is of an architecture that failed.
TOLD = Table("table of values", (*_needed("acc_1d", "acc_1d_std"), Column("id", TEXT, needed=False)))

#: What an evaluator predicts.
PREDICTIONS = Table(
    "table of predictions",
    (
        Column("id", TEXT),
        *_needed(*TARGETS),
        *_needed(*(f"{target}_{suffix}" for target in TARGETS for suffix in ("uncertainty", "low", "high"))),
        *_needed("acc_1d_score"),
        Column("measured", TRUTH, needed=False),
    ),
    rules=(_intervals,),
)

#: ``data/plots/fit.csv``: what was predicted of architectures by models that had not learned from them.
OUT_OF_FOLD = Table("table of out-of-fold predictions", (Column("id", TEXT, pattern=ID),))
