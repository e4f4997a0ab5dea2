"""Every table is refused however it is spoiled, with one sentence, and taken as the stages write it."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analognas import tables
from analognas.columns import ID, TEXT, TRUTH, WHOLE, Column, Table, measured
from analognas.errors import AnalogNASError
from analognas.evaluators.base import predicted, usable_rows
from analognas.evaluators.evidence import Evidence
from analognas.rows import ResultRow
from analognas.search_algorithms import RandomSearch
from analognas.search_spaces.config_space import ConfigSpace
from analognas.stages import rounds, rows
from analognas.tables import TARGETS
from analognas.testing import AnalyticEvaluator, made_up_row
from analognas.workspace import Paths

MUTATIONS = 200
CONTEXT = {"dataset": "digits-0123", "hardware": "pcm-4567", "protocol": "v3-89ab"}
SPACE = ConfigSpace("digits")
ARCHITECTURES = SPACE.sample(12, seed=3)
IDS = [architecture.id for architecture in ARCHITECTURES]
TIMES = (1.0, 3600.0, 86_400.0, 2_592_000.0)


def architectures_table() -> pd.DataFrame:
    frame = characterized_table()[["id", "space", "genes", "params", "tiles"]]
    return frame[~frame["id"].duplicated()].reset_index(drop=True)


def characterized_table() -> pd.DataFrame:
    """Rows of the sample, of a round, of the sentinel set, a failed one and a replicate."""
    roles = [("sample", 0, "accepted")] * 9 + [("round", 1, "pending"), ("round", 2, "accepted")]
    roles += [("sentinel", 0, "accepted")]
    draw = random.Random(0)
    made = [
        made_up_row(architecture, acc_1d=draw.uniform(50, 99), avm=draw.uniform(-1, 5))
        for architecture in ARCHITECTURES
    ]
    made[4] = made_up_row(ARCHITECTURES[4], status="diverged", reason="loss is nan")
    listed = [*zip(roles, made, strict=True), (("replicate", 0, "accepted"), made[0])]
    return rows.table(
        [
            {**CONTEXT, "role": role, "round": number, "decision": decision, **row.to_dict()}
            for (role, number, decision), row in listed
        ],
        TIMES,
    )


def results_table() -> pd.DataFrame:
    frame = characterized_table().iloc[:12]
    return frame[["id", "status", "space", "dataset", *TARGETS, "acc_digital", "acc_30d", "avm_sem"]]


def predictions_table() -> pd.DataFrame:
    return AnalyticEvaluator(SPACE).assess(ARCHITECTURES)


class Lying(AnalyticEvaluator):
    """Returns what it is told to."""

    def __init__(self, returned: Any) -> None:
        super().__init__(SPACE)
        self.returned = returned

    def predict(self, architectures: Any) -> Any:
        return self.returned


def search() -> RandomSearch:
    return RandomSearch(T_AVM=5.0).bind(SPACE)


def in_a_file(check: Callable[[Paths], object]) -> Callable[[pd.DataFrame], object]:
    """Let a stage read a frame as from its file."""

    def edge(frame: pd.DataFrame) -> object:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "read_parquet", lambda *_, **__: frame)
            return check(Paths(Path("workspace")))

    return edge


#: By name: the table, what it is, the ids that its rows are held to, and the edge that takes it.
FRAMES: dict[str, tuple[Callable[[], pd.DataFrame], Table, list[str] | None, Callable[[Any], object]]] = {
    "architectures.parquet": (
        architectures_table,
        tables.ARCHITECTURES,
        None,
        lambda frame: tables.ARCHITECTURES.check(frame, "data/architectures.parquet", remedy="run it again"),
    ),
    "surrogate.parquet": (
        characterized_table,
        tables.CHARACTERIZED.with_values(CONTEXT),
        None,
        in_a_file(lambda paths: rows.read_table(paths, CONTEXT)),
    ),
    "fit": (results_table, tables.RESULTS, IDS, lambda frame: usable_rows(ARCHITECTURES, frame, 8)),
    "score": (
        results_table,
        tables.RESULTS,
        IDS,
        lambda frame: AnalyticEvaluator(SPACE).score(ARCHITECTURES, frame),
    ),
    "tell": (results_table, tables.TOLD, IDS, lambda frame: search().tell(ARCHITECTURES, frame)),
    "predict": (predictions_table, tables.PREDICTIONS, IDS, lambda frame: predicted(Lying(frame), ARCHITECTURES)),
    "assess": (
        lambda: predictions_table().drop(columns="measured"),
        tables.PREDICTIONS,
        IDS,
        lambda frame: Lying(frame).assess(ARCHITECTURES),
    ),
}


def impossible(column: Column, draw: random.Random) -> Any:
    """Return a cell that a column cannot hold."""
    if column.kind == TEXT:
        wrong: list[Any] = [7, 1.5, True, ["a"], b"bytes"]
        wrong += ["foreign", "", "ok\nline"] if column.among else []
        wrong += ["", "UPPER", "0123", "g" * 16] if column.pattern == ID else []
    elif column.kind == TRUTH:
        wrong = ["yes", 2, 0.5, 1]
    else:
        wrong = ["90.0", "high", [1.0], True, 1j, math.inf, -math.inf, np.float64("inf"), 10**400]
        wrong += [column.least - 1] if math.isfinite(column.least) else []
        wrong += [column.most + 1, 1000.0] if math.isfinite(column.most) else []
        wrong += [1.5] if column.kind == WHOLE else []
    if not column.missing and column.needed:
        wrong += [None, math.nan]
    return draw.choice(wrong)


def spoiled(frame: pd.DataFrame, table: Table, ids: list[str] | None, draw: random.Random) -> Iterator[tuple[str, Any]]:
    """Yield tables that are wrong in one respect, with what that is, without end."""
    known = {column.name: column for column in table.columns}
    described = [known.get(name) or measured(name) for name in frame.columns]
    columns = [column for column in described if column is not None]
    needed = [column.name for column in table.columns if column.needed]
    size = len(frame)
    while True:
        what = draw.choice(["cell", "cell", "cell", "drop", "twice", "type", "rows", "none", "order", "ids", "rule"])
        row, other = draw.sample(range(size), 2)
        changed = frame.copy()
        if what == "cell":
            column = draw.choice(columns)
            cell = impossible(column, draw)
            cells = list(frame[column.name])
            cells[row] = cell
            yield (
                f"{column.name} of row {row} is {cell!r}",
                frame.assign(**{column.name: pd.Series(cells, dtype=object)}),
            )
        elif what == "drop" and needed:
            yield f"without {(name := draw.choice(needed))}", frame.drop(columns=name)
        elif what == "twice":
            name = draw.choice([column.name for column in columns])
            yield f"{name} twice", pd.concat([frame, frame[[name]]], axis=1)
        elif what == "type":
            column = draw.choice([column for column in columns if column.kind != TEXT])
            kind = draw.choice(["str", "complex"]) if column.kind != WHOLE else draw.choice(["str", "float64", "bool"])
            filled = frame[column.name].fillna(0.0)
            yield f"{column.name} as {kind}", frame.assign(**{column.name: filled.astype(kind)})
        elif what == "rows":
            again = pd.concat([frame, frame.iloc[[row]]], ignore_index=True)
            yield f"row {row} again", again
            if ids is not None:
                yield f"without row {row}", frame.drop(index=row).reset_index(drop=True)
        elif what == "none":
            wrong = draw.choice(
                [
                    None,
                    {},
                    [],
                    "table",
                    7,
                    frame.to_dict("list"),
                    frame.to_numpy(),
                    frame["acc_1d"] if "acc_1d" in frame else frame["id"],
                ]
            )
            yield f"a {type(wrong).__name__}", wrong
        elif what == "order" and ids is not None:
            order = list(range(size))
            order[row], order[other] = other, row
            yield f"rows {row} and {other} exchanged", frame.iloc[order].reset_index(drop=True)
            if "id" not in needed:
                yield f"rows {row} and {other} exchanged, without ids", frame.iloc[order].drop(columns="id")
        elif what == "ids" and "id" in frame:
            changed.loc[row, "id"] = draw.choice([frame["id"].iloc[other], "0" * 16])
            if changed["id"].iloc[row] != frame["id"].iloc[row]:
                yield f"row {row} is of {changed['id'].iloc[row]}", changed
            if "genes" in frame and frame["genes"].iloc[row] != frame["genes"].iloc[other]:
                yield (
                    f"genes of row {other} in {row}",
                    frame.assign(genes=[frame["genes"].iloc[other if at == row else at] for at in range(size)]),
                )
        elif what == "rule" and table.closed:
            yield "a foreign column", frame.assign(colour=1.0)
        elif what == "rule" and "acc_1d_low" in frame:
            yield (
                f"interval of row {row} upside down",
                frame.assign(
                    acc_1d_low=frame["acc_1d_high"].where(frame.index == row, frame["acc_1d_low"])
                    + 0.1 * (frame.index == row)
                ),
            )
        if what == "rule" and "role" in frame:
            changed.loc[row, draw.choice(["dataset", "hardware", "protocol"])] = "another"
            yield f"row {row} of another context", changed
            failed = int(np.flatnonzero(frame["status"] != "ok")[0])
            yield "a measured failure", frame.assign(acc_1d=frame["acc_1d"].fillna(50.0))
            yield "a failure that is ok", frame.assign(status=frame["status"].where(frame.index != failed, "ok"))
            yield "a sample of a round", frame.assign(round=frame["round"].where(frame["role"] != "sample", 3))


def refusal(edge: Callable[[Any], object], given: Any, what: str) -> str:
    with pytest.raises(AnalogNASError) as refused:
        edge(given)
    text = str(refused.value)
    assert "\n" not in text, what
    assert len(text) < 600, what
    assert refused.value.__cause__ is None, what
    assert not re.search(r"Traceback|dtype|KeyError|ValueError|TypeError", text), (what, text)
    return text


@pytest.mark.parametrize("name", FRAMES)
def test_a_valid_table_is_taken_and_200_mutations_are_refused_with_one_sentence(name: str):
    make, table, ids, edge = FRAMES[name]
    frame = make()
    edge(frame)
    given = frame.copy()
    draw = random.Random(name)
    wrong = spoiled(frame, table, ids, draw)
    for _ in range(MUTATIONS):
        what, changed = next(wrong)
        try:
            text = refusal(edge, changed, what)
        except pytest.fail.Exception:
            pytest.fail(f"{name} takes a table with {what}")
        assert text.endswith("."), text
    pd.testing.assert_frame_equal(frame, given)  # nothing was changed in place


def test_rows_that_say_whose_they_are_may_come_in_any_order():
    for make, table in ((architectures_table, tables.ARCHITECTURES), (characterized_table, tables.CHARACTERIZED)):
        frame = make()
        assert table.problem(frame.sample(frac=1, random_state=0)) is None
        assert table.problem(frame[sorted(frame.columns)]) is None


def test_the_tables_of_the_stages_are_taken():
    golden = pd.read_parquet(Path(__file__).parent / "golden" / "surrogate.parquet")
    assert tables.CHARACTERIZED.problem(golden) is None
    looked_up = characterized_table().assign(acc_1s=math.nan, acc_1s_std=math.nan, avm_sem=math.nan)
    assert tables.CHARACTERIZED.problem(looked_up) is None
    assert tables.CHARACTERIZED.problem(characterized_table().iloc[:0]) is None


def test_what_people_give_need_not_be_perfect():
    """Numbers of any type, missing values, failed rows, columns of their own, no ids."""
    frame = results_table().drop(columns=["id", "space"]).assign(note="mine", seconds=[[1]] * 12)
    frame["acc_1d"] = frame["acc_1d"].round().astype("Int64")
    frame["avm"] = frame["avm"].astype(object).where(frame["avm"] > 1, None)
    chosen, kept = usable_rows(ARCHITECTURES, frame.set_index(pd.Index(range(5, 17))), 4)
    assert len(chosen) == len(kept) == int((results_table()["avm"] > 1).sum())
    assert kept["avm"].dtype == kept["acc_1d"].dtype == np.float64
    usable_rows(ARCHITECTURES, frame.set_index(pd.Index(list("abcdefghijkl"))), 4)


# One row at a time: the store, the remote, rounds and candidates.

#: What JSON may hold in the place of anything.
_JUNK = [None, True, -1, 0, 1.5, 1e9, math.inf, math.nan, "", "text", "90.0", [], [1.0], {}, {"a": 1}]


def mutations(value: Any, draw: random.Random) -> Iterator[tuple[list[Any], Any]]:
    """Yield copies of a JSON value in which one thing within is gone or another one, after the way to it."""
    while True:
        changed = copy.deepcopy(value)
        path, place = [], changed
        while True:
            key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
            path.append(key)
            inner = place[key]
            if not (isinstance(inner, dict | list) and inner and draw.random() < 0.8):
                break
            place = inner
        junk = draw.choice(_JUNK)
        if draw.random() < 0.25:
            del place[key]
        elif type(junk) is type(inner) and junk == inner:
            continue
        else:
            place[key] = copy.deepcopy(junk)
        yield path, changed


def test_200_mutations_of_a_result_are_refused():
    row = replace(made_up_row(ARCHITECTURES[0]), accuracy=((90.0, 80.0), (91.0, 82.0))).to_dict()
    wrong, refused = mutations(row, random.Random(1)), 0
    while refused < MUTATIONS:
        path, changed = next(wrong)
        if _still_a_result(path, changed):
            assert ResultRow.from_dict(changed, "it", "do").problem() is None, path
            continue
        text = refusal(lambda data: ResultRow.from_dict(data, "the file", "delete it"), changed, str(path))
        assert text.startswith("the file holds no result"), path
        refused += 1


def _still_a_result(path: list[Any], changed: dict[str, Any]) -> bool:
    """Whether a mutation leaves a result: free text, another number that is possible, or no value that has to be."""
    value: Any = changed
    for key in path:
        value = value.get(key) if isinstance(value, dict) else value[key] if key < len(value) else None
    name = path[0]
    if name == "accuracy":
        if len(path) == 3:
            lengths = {len(repeat) for repeat in changed[name]}
            return len(lengths) == 1 and type(value) in (int, float) and 0 <= value <= 100
        return value is None and len(path) == 1
    if value is None or value != value:
        return name not in TARGETS and measured(name) is not None
    column = measured(name) or next(column for column in tables.RESULT.columns if column.name == name)
    return name not in ("id", "space", "genes", "status") and column.wrong(value) is None


def test_200_mutations_of_a_round_are_refused_or_leave_it_as_it_was(tmp_path: Path):
    paths = Paths(tmp_path)
    entries = tuple(
        rounds.Entry(architecture, "promise", {"acc_1d": 80.0, "avm": 1.0}) for architecture in ARCHITECTURES[:3]
    )
    file = rounds.write_round(paths, rounds.Round(1, entries, "why", "pending", "retrain", {"need": {"forced": True}}))
    (known,) = rounds.read_rounds(paths, SPACE)
    content, draw = json.loads(file.read_text()), random.Random(2)
    said: list[str] = []
    wrong = mutations(content, draw)
    while len(said) < MUTATIONS:
        path, changed = next(wrong)
        file.write_text(json.dumps(changed))
        try:
            (taken,) = rounds.read_rounds(paths, SPACE)
        except AnalogNASError as error:
            said.append(str(error))
            continue
        # What it says of architectures is what it said: nothing was reinterpreted but free text.
        assert {entry.architecture for entry in taken.entries} <= set(ARCHITECTURES[:3]), path
        assert all(measured(name) for entry in taken.entries for name in entry.predicted), path
        assert taken.decision in tables.DECISIONS
        assert taken.number == known.number
    assert not [text for text in said if "\n" in text or not text.endswith("restore it from git.")]


def test_evidence_of_an_evaluator_is_held_to_what_it_can_be():
    results = results_table().assign(acc_1d=90.0, avm=1.0, acc_1d_std=0.5)
    whole = Evidence.of(ARCHITECTURES, results, results).to_dict()
    assert Evidence.from_dict(whole).space == ARCHITECTURES[0].space
    draw = random.Random(3)
    said: list[str] = []
    wrong = mutations(whole, draw)
    for _ in range(MUTATIONS):
        path, changed = next(wrong)
        try:
            taken = Evidence.from_dict(changed)
        except AnalogNASError as error:
            said.append(str(error))
            continue
        assert np.isfinite(taken.table().drop(columns="id").to_numpy()).all(), path
    assert not [text for text in said if "\n" in text]
    assert len(said) > MUTATIONS / 2
