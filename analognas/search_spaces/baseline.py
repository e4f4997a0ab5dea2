"""The networks that the winner is compared with: residual networks of the same space that nobody searched for."""

from __future__ import annotations

from collections.abc import Mapping

from analognas.errors import SpaceError
from analognas.search_spaces.architecture import Architecture, SpaceId
from analognas.search_spaces.family import family
from analognas.search_spaces.genes import Gene, Genes

#: Residual networks that people take by hand: the basic blocks in each of their three groups, and what they are called.
BLOCKS = {"mlperf_tiny": 1, "layers_20": 3, "layers_32": 5}
NAMES = {"mlperf_tiny": "MLPerf Tiny's network", "layers_20": "20 layers", "layers_32": "32 layers"}
#: Those that are trained beside the winner, where the plain network has 20 layers and its size.
BESIDE = ("mlperf_tiny", "layers_32")
#: What nobody takes by hand is narrower than so many channels.
NARROWEST = 4
#: Channels as published, of a space without a budget.
_PUBLISHED_WIDTH = 16


def known_networks(space: SpaceId, max_params: int | None) -> dict[str, Architecture]:
    """Return the residual networks of ``BLOCKS`` within a budget by key, each as wide as that allows.

    They may lie outside of a space's ranges. One that would be narrower than ``NARROWEST`` is left out; without a
    budget they have their published width. Empty for families other than ``resnet``.
    """
    if space.family != "resnet":
        return {}
    networks: dict[str, Architecture] = {}
    for key, blocks in BLOCKS.items():
        if max_params is None:
            networks[key] = _residual(space, blocks, _PUBLISHED_WIDTH)
            continue
        widest = residual_network(space, blocks, max_params)
        if widest is not None and int(widest.genes["out_channel0"]) >= NARROWEST:
            networks[key] = widest
    return networks


def of_hand(space: SpaceId, genes: Mapping[str, Gene], max_params: int | None) -> Architecture | None:
    """Return the one of ``known_networks`` that has these genes, None if none has."""
    wanted = dict(genes)
    return next((known for known in known_networks(space, max_params).values() if dict(known.genes) == wanted), None)


def plain_network(space: SpaceId, params: int) -> Architecture | None:
    """Return the plain residual network to compare with, None if the family has none.

    Of the ResNet-like family ``plain_resnet``; of cells the one that NAS-Bench-201 calls ResNet (arXiv 2001.00326): two
    3x3 convolutions beside an identity, in the winner's width and depth only if these are the published ones.
    """
    if space.family == "resnet":
        return plain_resnet(space, params)
    if space.family == "nasbench201":
        genes: dict[str, Gene] = {"edge12": 2, "edge13": 1, "edge14": 0, "edge23": 2, "edge24": 1, "edge34": 0}
        size = family("nasbench201").count_params(genes, space.input_shape, space.classes)
        return Architecture(space=space, genes=Genes(genes), params=size)
    return None


def residual_network(space: SpaceId, blocks: int, max_params: int) -> Architecture | None:
    """Return the widest plain residual network with ``blocks`` basic blocks a group within a budget, None if none fits.

    Three groups with ``c``, ``2c``, ``4c`` channels as in ``plain_resnet``: 5 blocks make the 32 layers of ResNet32 (He
    et al., CVPR 2016), 1 block the ResNet of MLPerf Tiny (Banbury et al., arXiv 2106.07597), both with ``c`` = 16.

    Raises:
        SpaceError: if the space's networks are not residual networks.
    """
    fitting = None
    for channels in range(1, 257):
        network = _residual(space, blocks, channels)
        if network.params > max_params:
            break
        fitting = network
    return fitting


def plain_resnet(space: SpaceId, params: int) -> Architecture:
    """Return the plain residual network of the CIFAR kind whose size is closest to ``params``.

    Three groups of ``n`` basic blocks with ``c``, ``2c``, ``4c`` channels, 3x3 convolutions, one branch (He et
    al., CVPR 2016, section 4.2, where ``n`` is 3 to 9 and ``c`` 16). ``n`` is 3 where a width ``c`` comes within
    10 % of the size, otherwise 2 or 1.

    Raises:
        SpaceError: if the space's networks are not residual networks.
    """
    best: Architecture | None = None
    for blocks in (3, 2, 1):
        for channels in range(1, 129):
            network = _residual(space, blocks, channels)
            if best is None or abs(network.params - params) < abs(best.params - params):
                best = network
        assert best is not None
        if abs(best.params - params) <= 0.1 * params:
            break
    assert best is not None
    return best


def _residual(space: SpaceId, blocks: int, channels: int) -> Architecture:
    if space.family != "resnet":
        raise SpaceError(f"There is no plain residual network in a space of {space.family} networks.")
    genes: dict[str, Gene] = {"out_channel0": channels, "kernel_size0": 3, "M": 3}
    for i, widening in ((1, 1), (2, 2), (3, 2)):
        genes |= {f"R{i}": blocks, f"B{i}": 1, f"convblock{i}": "basic", f"widenfact{i}": widening}
    size = family("resnet").count_params(genes, space.input_shape, space.classes)
    return Architecture(space=space, genes=Genes(genes), params=size)
