import numpy as np
import pytest

from benchmarks.effort import judge


def rows(weights: tuple[float, float, float], noise: float = 0.0) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    parts = np.exp(rng.normal(size=(40, 3))) * [1e7, 1e5, 30]
    seconds = parts @ np.array(weights) * np.exp(noise * rng.normal(size=40))
    return [
        {"macs": macs, "outputs": outputs, "layers": layers, "effort": macs + 350 * outputs, "seconds": time}
        for (macs, outputs, layers), time in zip(parts, seconds, strict=True)
    ]


def test_an_effort_that_is_the_time_is_one_throughout_and_its_weights_are_found():
    found = judge(rows((1e-9, 3.5e-7, 0.0)))
    assert found["ratio"]["least"] == pytest.approx(1)
    assert found["ratio"]["std_of_log"] == pytest.approx(0, abs=1e-9)
    best = found["best"]
    assert best["seconds_per_macs"] == pytest.approx(1e-9)
    assert best["seconds_per_outputs"] == pytest.approx(3.5e-7)
    assert best["seconds_per_layers"] == pytest.approx(0, abs=1e-9)


def test_what_the_effort_leaves_out_is_seen():
    found = judge(rows((1e-9, 3.5e-7, 2e-3)))
    assert found["ratio"]["std_of_log"] > 0.1
    assert found["ratio"]["most"] > 1 > found["ratio"]["least"]
    assert found["best"]["std_of_log"] == pytest.approx(0, abs=1e-6)
    assert judge(rows((1e-9, 3.5e-7, 2e-3), noise=0.2))["best"]["std_of_log"] == pytest.approx(0.2, abs=0.05)
