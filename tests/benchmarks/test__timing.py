from benchmarks._timing import machine, medians


def test_rounds_run_every_variant_in_turn_and_the_warm_up_does_not_count():
    called: list[str] = []
    found = medians({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, rounds=3, warm_up=2)
    assert called == ["a", "b"] * 5
    assert set(found) == {"a", "b"}
    assert all(seconds >= 0 for seconds in found.values())


def test_the_machine_is_named():
    assert {"processor", "threads", "torch"} <= set(machine())
