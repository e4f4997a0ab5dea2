import math

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import RandomSearch
from analognas.search_algorithms.constraints import Constraints, Objective
from analognas.search_algorithms.told import judged
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import small_space


def test_what_breaks_a_limit_or_has_no_value_is_told_apart():
    architectures = small_space().sample(3, seed=0)
    frame = pd.DataFrame({"acc_1d": [90.0, 80.0, math.nan], "acc_1d_std": 1.0, "avm": [2.0, 7.0, 1.0]})
    limits = Constraints(T_AVM=5.0)
    judgement = judged(architectures, frame, Objective(), limits, limits)
    assert judgement.objective[:2] == [89.0, 79.0]
    assert judgement.violation[0] == 0 < judgement.violation[1] < judgement.violation[2] == math.inf
    assert [row["avm"] for row in judgement.rows] == [2.0, 7.0, 1.0]
    with pytest.raises(SearchError, match="T_AVM cannot be held with objective values alone"):
        judged(architectures, [1.0, 2.0, 3.0], Objective(), limits, limits)
    alone = judged(architectures, [1.0, None, 3.0], Objective(), Constraints(), Constraints())
    assert (alone.violation, list(alone.rows)) == ([0.0, math.inf, 0.0], [{}, {}, {}])


def test_rows_of_other_architectures_are_refused():
    space = small_space()
    evaluator = AnalyticEvaluator(space)
    optimizer = RandomSearch(evaluator, population_size=4).bind(space)
    architectures = space.sample(3, seed=0)
    table = evaluator.predict(architectures)
    with pytest.raises(SearchError, match=r"what was told is no table of values \(row 0 is of"):
        optimizer.tell(architectures, table.iloc[::-1])
    with pytest.raises(SearchError, match=r"row 1 has acc_1d = 1000"):
        optimizer.tell(architectures, table.assign(acc_1d=[90.0, 1000.0, 90.0]))
    assert not optimizer.evaluated
    optimizer.tell(architectures, table)
    assert len(optimizer.evaluated) == 3


def test_values_that_are_sorted_otherwise_or_no_numbers_are_refused():
    space = small_space()
    optimizer = RandomSearch().bind(space)
    architectures = space.sample(3, seed=0)
    ids = [architecture.id for architecture in architectures]
    frame = pd.DataFrame({"acc_1d": [70.0, 90.0, 80.0], "acc_1d_std": 1.0})
    for wrong, said in (
        (frame.sort_values("acc_1d"), "were sorted"),
        (frame.set_index(pd.Index(ids[::-1])), "row 0 is of"),
        (frame["acc_1d"].sort_values(), "were sorted"),
        (pd.Series([1.0, 2.0, 3.0], index=ids[::-1]), "row 0 is of"),
        (["1.0", 2.0, 3.0], "no numbers"),
        ([True, 2.0, 3.0], "no numbers"),
        (np.ones((3, 1)), "no numbers"),
        ({"acc_1d": 1, "b": 2, "c": 3}, "of the type dict"),
    ):
        with pytest.raises(SearchError, match=said):
            optimizer.tell(architectures, wrong)
    with pytest.raises(SearchError, match="told twice in one call"):
        optimizer.tell([*architectures, architectures[0]], [1.0, 2.0, 3.0, 4.0])
    assert not optimizer.evaluated
    optimizer.tell(architectures, frame.set_index(pd.Index(ids)))
    optimizer.tell(architectures, [np.float32(1), 2, None])
    assert optimizer.history["objective"].tolist()[:2] == [1.0, 2.0]
