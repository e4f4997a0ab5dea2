import numpy as np
import pandas as pd
import pytest

from analognas.errors import InputError, MismatchError, NotFittedError
from analognas.evaluators import Context, Evaluator
from analognas.evaluators.base import usable_rows
from analognas.evaluators.columns import COLUMNS
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results

ARCHITECTURES = ConfigSpace("digits").sample(9)


@pytest.fixture
def results():
    return synthetic_results(ARCHITECTURES)


def test_context_takes_what_the_rows_have_in_common():
    rows = pd.DataFrame({"dataset": ["d", "d"], "hardware": ["", None], "protocol": ["p", None], "space": ["s", "s"]})
    assert Context.of("s", rows) == Context("s", "d", "", "p")
    assert Context.of("s", pd.DataFrame(index=[0])) == Context("s")


def test_context_of_mixed_rows_is_refused():
    with pytest.raises(MismatchError, match=r"several values of protocol \(p, q\)"):
        Context.of("s", pd.DataFrame({"protocol": ["p", "q"]}))
    with pytest.raises(MismatchError, match="several values of space"):
        Context.of("s", pd.DataFrame({"space": ["t"]}))


def test_unknown_ids_fit_everything():
    Context("s").check(space="s", dataset="any", hardware=None)
    Context("s", "d").check(dataset="")
    with pytest.raises(MismatchError, match="fitted for the dataset 'd', not for 'e'"):
        Context("s", "d").check(dataset="e")


def test_an_evaluator_without_a_context_was_not_fitted():
    class Empty(Evaluator):
        def fit(self, architectures, results):
            return self

        def predict(self, architectures):
            ids = [architecture.id for architecture in architectures]
            scores = {"acc_1d_score": [1.0, 3.0, 2.0]}
            return pd.DataFrame(dict.fromkeys(COLUMNS, 1.0) | {"id": ids} | scores)

        def save(self, path):
            pass

        @classmethod
        def load(cls, path):
            return cls()

    with pytest.raises(NotFittedError, match=r"Empty .* call fit"):
        Empty().check(space="s")
    measured = pd.DataFrame({"acc_1d": [10.0, 30.0, 20.0], "avm": 1.0, "acc_1d_std": 1.0})
    assert Empty().score(ARCHITECTURES[:3], measured) == 1
    with pytest.raises(InputError, match="row 0 is of"):
        Empty().score(ARCHITECTURES[:3], measured.assign(id=[one.id for one in ARCHITECTURES[2::-1]]))


def test_usable_rows_keeps_order_and_drops_the_failed(results):
    results = results.set_index(pd.Index([5] * 9)).assign(role="sample")
    results.iloc[3, results.columns.get_loc("status")] = "too_large"
    results.iloc[5, results.columns.get_loc("acc_1d_std")] = np.nan
    chosen, rows = usable_rows(ARCHITECTURES, results, 7)
    assert [architecture.id for architecture in chosen] == list(rows["id"])
    assert list(rows["id"]) == [ARCHITECTURES[i].id for i in (0, 1, 2, 4, 6, 7, 8)]
    assert list(rows.index) == list(range(7))
    with pytest.raises(InputError, match=r"7 of 9 .* at least 8"):
        usable_rows(ARCHITECTURES, results, 8)


def test_status_is_optional(results):
    chosen, _ = usable_rows(ARCHITECTURES, results[["acc_1d", "avm", "acc_1d_std"]], 8)
    assert chosen == ARCHITECTURES


def test_values_that_are_no_measurement_are_named(results):
    with pytest.raises(InputError, match="row 0 has avm = 'much', not a number"):
        usable_rows(ARCHITECTURES, results.assign(avm="much"), 8)
    with pytest.raises(InputError, match=r"row 2 has acc_1d_std = -1"):
        usable_rows(ARCHITECTURES, results.assign(acc_1d_std=[1, 1, -1, *[1] * 6]), 8)
