from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from benchmarks._networks import NETWORKS

OF_TORCHVISION = set(NETWORKS) - {"resnet8", "ds_cnn", "mobilenet_v1", "autoencoder"}


@pytest.mark.parametrize(
    ("name", "shape", "classes", "params"),
    [
        # Counted by hand, layer by layer.
        ("resnet8", (3, 32, 32), 10, 77_946),
        ("ds_cnn", (1, 49, 10), 12, 23_180),
        ("mobilenet_v1", (3, 96, 96), 2, 213_586),
        ("autoencoder", (1, 5, 128), 2, 133_674),
    ],
)
def test_the_networks_of_mlperf_tiny_have_the_size_of_their_description(
    name: str, shape: tuple[int, int, int], classes: int, params: int
) -> None:
    network = NETWORKS[name](shape, classes).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == params
    assert network(torch.zeros(2, *shape)).shape == (2, classes)


@pytest.mark.long
@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
@pytest.mark.parametrize("name", sorted(OF_TORCHVISION))
def test_those_of_torchvision_take_images_of_any_channels(name: str) -> None:
    for channels in (1, 3):
        network = NETWORKS[name]((channels, 32, 32), 6).eval()
        assert network(torch.zeros(2, channels, 32, 32)).shape == (2, 6)
