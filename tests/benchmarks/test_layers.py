import warnings

import pytest
import torch

from benchmarks import layers


@pytest.mark.long
def test_every_variant_of_both_networks_runs_and_ratios_are_to_plain_pytorch(monkeypatch):
    monkeypatch.setattr(layers, "BATCH", 2)
    monkeypatch.setattr(layers, "_settle", lambda model, optimizer, device, steps=1: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is not installed is named
        found = layers.measure(rounds=1, device="cpu")
    for part in (found, found["residual"]):
        for phase in ("train", "eval"):
            assert part[phase]["digital"] == 1
            assert {"ours", "aihwkit_torch", "digital_channels_last"} <= set(part[phase])


def test_the_residual_network_has_several_tiles_a_layer():
    from analognas.hardware import convert, number_of_tiles
    from analognas.hardware.rpu_config import rpu_config
    from analognas.params import HardwareParams

    counts = {}
    for name, network in layers.networks().items():
        config = rpu_config(HardwareParams(tile_size=layers.TILE_SIZE[name]))
        matrices = sum(isinstance(module, torch.nn.Conv2d | torch.nn.Linear) for module in network.modules())
        counts[name] = number_of_tiles(convert(network, config)) / matrices
    assert counts["plain"] == 1
    assert counts["residual"] > 1.2
