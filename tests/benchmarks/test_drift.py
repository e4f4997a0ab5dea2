import pytest

from benchmarks import drift


@pytest.mark.long
def test_both_ways_run_the_same_protocol(monkeypatch):
    cases = drift.cases

    def few(device: str):
        return {name: (model, x[:8], y[:8]) for name, (model, x, y) in cases(device).items()}

    monkeypatch.setattr(drift, "cases", few)
    found = drift.measure(repeats=1, rounds=1, device="cpu")
    assert set(found["speed_up"]) == {"digits", "plain"}
    for name, factor in found["speed_up"].items():
        seconds = found["seconds"][name]
        assert factor > 0
        assert set(seconds) == {"ours", "aihwkit"}
