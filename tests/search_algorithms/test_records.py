from math import inf, nan

import numpy as np
import pandas as pd

from analognas.search_algorithms.records import Evaluated, TableRow, history_table, rows_table
from analognas.search_spaces import ConfigSpace


def test_rank_feasible_then_violation_then_failed():
    architectures = ConfigSpace("digits").sample(5)
    given = [(nan, inf), (99.0, 2.0), (50.0, 0.0), (60.0, 0.0), (10.0, 1.0)]
    records = [Evaluated(one, 0, "start", *values, {}) for one, values in zip(architectures, given, strict=True)]
    ranked = sorted(records, key=lambda record: record.rank_key)
    assert [records.index(record) for record in ranked] == [3, 2, 4, 1, 0]
    assert [record.feasible for record in ranked] == [True, True, False, False, False]


def test_equal_objectives_prefer_the_smaller_network():
    architectures = ConfigSpace("digits").sample(8)
    records = [Evaluated(one, 0, "start", 1.0, 0.0, {}) for one in architectures]
    sizes = [record.architecture.params for record in sorted(records, key=lambda record: record.rank_key)]
    assert sizes == sorted(sizes)


def test_history_keeps_genes_as_text_and_values_by_name():
    (architecture,) = ConfigSpace("digits").sample(1)
    table = history_table([Evaluated(architecture, 3, "width", 80.0, 0.0, {"acc_1d": 81.0})])
    assert table.to_dict("records") == [
        {
            "iteration": 3,
            "origin": "width",
            "id": architecture.id,
            "genes": architecture.genes.to_json(),
            "params": architecture.params,
            "objective": 80.0,
            "feasible": True,
            "violation": 0.0,
            "acc_1d": 81.0,
        }
    ]


def test_an_empty_history_has_its_columns():
    assert list(history_table([]).columns)[:3] == ["iteration", "origin", "id"]


def test_a_row_of_a_table_is_a_mapping_of_plain_values_without_its_id():
    table = pd.DataFrame({"id": ["a", "b"], "acc_1d": [1.5, np.nan], "measured": [True, False]})
    row = TableRow(table, 0)
    assert dict(row) == {"acc_1d": 1.5, "measured": True}
    assert [type(value) for value in row.values()] == [float, bool]
    assert len(row) == 2
    assert row.get("avm") is None


def test_rows_are_put_together_in_their_order():
    first = pd.DataFrame({"id": ["a", "b"], "acc_1d": [1.0, 2.0]})
    second = pd.DataFrame({"id": ["c"], "acc_1d": [3.0], "avm": [0.5]})
    rows = [TableRow(second, 0), TableRow(first, 1), TableRow(first, 0)]
    expected = pd.DataFrame({"acc_1d": [3.0, 2.0, 1.0], "avm": [0.5, nan, nan]})
    pd.testing.assert_frame_equal(rows_table(rows), expected, check_like=True)
    mixed = rows_table([*rows, {"acc_1d": 4.0}])
    assert mixed["acc_1d"].tolist() == [3.0, 2.0, 1.0, 4.0]
