import pandas as pd

from analognas.stages import rows
from analognas.stages.rows import table
from analognas.training.columns import measured_columns


def test_only_measured_rows_are_usable():
    results = pd.DataFrame({"id": ["a", "b", "c", "d"], "status": ["ok", "diverged", "too_large", "ok"]})
    assert rows.usable(results)["id"].tolist() == ["a", "d"]


def test_the_table_has_fixed_columns_and_keeps_failures():
    times = (1.0, 86400.0, 2592000.0)
    row = dict.fromkeys(
        ("id", "space", "dataset", "hardware", "protocol", "role", "decision", "genes", "status", "reason"), "x"
    )
    row |= {"round": 0, "params": 10, "tiles": 2, "repeats": 5, "accuracy": [[1, 2]]}
    good = row | dict.fromkeys(measured_columns(times), 50)
    frame = table([good, row | {"status": "diverged"}], times)
    assert list(frame.columns[-3:]) == ["avm", "avm_std", "avm_sem"]
    assert "accuracy" not in frame
    assert frame["acc_1d"].tolist()[0] == 50.0
    assert frame["acc_1d"].isna().tolist() == [False, True]
    assert list(table([], times).columns) == list(frame.columns)
    assert table([], times).dtypes.equals(frame.dtypes)
