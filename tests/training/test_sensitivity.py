from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from analognas.datasets import Dataset
from analognas.hardware.analog import convert
from analognas.training.drift import measure
from analognas.training.protocol import drift_seed, reproducible
from analognas.training.sensitivity import sensitivity


def test_a_layer_with_noise_is_the_one_that_loses(dataset: Dataset, network: nn.Module, config: Any) -> None:
    model = convert(network, config).eval()
    noisy = model[5]  # type: ignore[index]
    for tile in noisy.analog_tiles():
        tile.rpu_config.forward.out_noise = 5.0
    calls: list[tuple[float, float]] = []
    rows = sensitivity(model, dataset, repeats=3, seed=0, label="a", progress=lambda *told: calls.append(told[:2]))
    first, last = rows
    assert (first.layer, last.layer, first.weights, last.weights) == ("0", "5", 36, 48)
    assert last.alone_digital_std == pytest.approx(0, abs=8)
    assert abs(last.alone_analog - 33) < 25  # a guess among three classes
    assert calls[-1] == (6.0, 6.0)
    x, y = dataset.tensors("test")
    with reproducible("cpu"):
        whole = measure(model, x, y, times=(86_400.0,), repeats=3, seed=drift_seed(0, "a", "test"))
    assert last.gained == pytest.approx(last.alone_digital - whole.mean())
    assert first.to_dict()["layer"] == "0"
