import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.architecture import SpaceId
from analognas.search_spaces.baseline import BLOCKS, NAMES, known_networks, of_hand, plain_resnet, residual_network

DIGITS = ConfigSpace("digits").id


def size(blocks: int, channels: int) -> int:
    """Count the parameters of a plain network for the digits by hand (9 weights per 3x3 filter, 2 per batch-norm)."""
    stem = (9 + 2) * channels
    total, before = stem, channels
    for width in (channels, 2 * channels, 4 * channels):
        total += 9 * before * width + (2 * blocks - 1) * 9 * width**2 + 2 * blocks * 2 * width
        total += 0 if before == width else before * width + 2 * width
        before = width
    return total + 10 * (4 * channels + 1)


def test_at_the_size_of_resnet_20_it_is_resnet_20():
    plain = plain_resnet(ConfigSpace("CIFAR-10").id, 270_000)
    layers = plain.structure.layers
    assert plain.structure.widths == (16, 32, 64)
    assert sum(layer.kernel_size == 3 for layer in layers) == 1 + 3 * 3 * 2
    assert sum(layer.kernel_size == 1 for layer in layers) == 2 + 1  # two shortcuts and the linear layer
    assert plain.params == plain.structure.params == 272_474


@pytest.mark.parametrize(
    ("wanted", "blocks", "channels"),
    [
        (size(3, 5), 3, 5),
        (size(1, 13), 3, 7),  # one block a group would be closer, but three come within 10 %
        (3_000, 2, 2),
        (20_000, 1, 8),
        (1, 1, 1),
        (10**9, 3, 128),
    ],
)
def test_it_is_as_deep_as_the_size_allows(wanted: int, blocks: int, channels: int):
    plain = plain_resnet(DIGITS, wanted)
    assert {plain.genes[f"R{i}"] for i in (1, 2, 3)} == {blocks}
    assert plain.structure.widths == (channels, 2 * channels, 4 * channels)
    assert plain.params == size(blocks, channels)


def test_no_width_of_its_depth_is_closer():
    for wanted in np.geomspace(100, 10**6, 30, dtype=int):
        plain = plain_resnet(DIGITS, int(wanted))
        others = [size(int(plain.genes["R1"]), channels) for channels in range(1, 129)]
        assert abs(plain.params - wanted) == min(abs(other - wanted) for other in others)


def test_it_is_a_network_of_the_space_that_can_be_built():
    import torch

    plain = plain_resnet(DIGITS, 3_000)
    network = plain.build()
    assert plain.space == DIGITS
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert sum(weights.numel() for weights in network.parameters()) == plain.params


def test_a_space_of_other_networks_has_none():
    with pytest.raises(SpaceError, match=r"no plain residual network in a space of my\.space:Mlp networks"):
        plain_resnet(SpaceId("mlp-digits", "my.space:Mlp", (1, 8, 8), 10), 1_000)


@pytest.mark.parametrize(("blocks", "channels"), [(5, 16), (1, 16), (1, 1)])
def test_the_widest_residual_network_within_a_budget(blocks: int, channels: int):
    found = residual_network(DIGITS, blocks, size(blocks, channels))
    assert found is not None
    assert found.params == size(blocks, channels)
    one_less = residual_network(DIGITS, blocks, size(blocks, channels) - 1)
    assert (one_less.params if one_less else None) == (size(blocks, channels - 1) if channels > 1 else None)


def test_with_five_blocks_it_is_resnet_32():
    found = residual_network(ConfigSpace("CIFAR-10").id, 5, 467_000)
    assert found is not None
    assert found.structure.widths == (16, 32, 64)
    assert sum(layer.kernel_size == 3 for layer in found.structure.layers) == 31


def test_known_networks_are_as_wide_as_the_budget_allows_and_never_narrower_than_four_channels():
    assert set(NAMES) == set(BLOCKS)
    for budget in (size(1, 4) - 1, size(1, 4), size(3, 4), size(5, 4), 100_000):
        found = known_networks(DIGITS, budget)
        assert set(found) == {key for key, blocks in BLOCKS.items() if size(blocks, 4) <= budget}
        for key, network in found.items():
            channels = int(network.genes["out_channel0"])
            assert network.params == size(BLOCKS[key], channels) <= budget < size(BLOCKS[key], channels + 1)


def test_without_a_budget_they_are_as_published():
    found = known_networks(ConfigSpace("CIFAR-10").id, None)
    assert found["layers_20"].params == 272_474
    assert {network.structure.widths for network in found.values()} == {(16, 32, 64)}


def test_other_families_have_none():
    assert known_networks(SpaceId("nasbench201", "nasbench201", (3, 32, 32), 10), None) == {}


def test_a_known_network_is_found_by_its_genes():
    known = known_networks(DIGITS, 20_000)["mlperf_tiny"]
    assert of_hand(DIGITS, dict(known.genes), 20_000) == known
    assert of_hand(DIGITS, {**known.genes, "kernel_size0": 5}, 20_000) is None
