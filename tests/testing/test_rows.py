from __future__ import annotations

from analognas.search_spaces.config_space import ConfigSpace
from analognas.testing import made_up_result, made_up_row
from analognas.training.columns import measured_columns


def test_made_up_rows_are_results():
    (architecture,) = ConfigSpace("digits").sample(1)
    row = made_up_row(architecture, acc_1d=70.0)
    assert row.problem() is None
    assert (row.id, row["acc_1d"], row["acc_30d"]) == (architecture.id, 70.0, 90.0)
    failed = made_up_row(architecture, status="diverged", reason="it did", times=(1.0, 86_400.0, 2_592_000.0))
    assert failed.problem() is None
    assert set(failed.measured) == set(measured_columns((1.0, 86_400.0, 2_592_000.0)))


def test_a_made_up_result_is_that_of_its_inputs():
    inputs, row = made_up_result(7, 80.0)
    assert row.problem() is None
    assert inputs["architecture"]["id"] == row.id != made_up_result(8)[1].id
    assert row["acc_1d"] == 80.0
