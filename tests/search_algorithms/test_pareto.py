import pandas as pd

from analognas.search_algorithms.pareto import pareto_front


def test_front_is_sorted_by_the_first_respect():
    table = pd.DataFrame({"id": list("abcd"), "acc_1d": [80.0, 90.0, 85.0, 80.0], "params": [10, 30, 40, 10]})
    front = pareto_front(table, {"acc_1d": True, "params": False})
    assert front["id"].tolist() == ["b", "a", "d"]
    assert pareto_front(table[:0], {"acc_1d": True, "params": False}).empty
