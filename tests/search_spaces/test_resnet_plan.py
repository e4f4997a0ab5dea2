import pytest

from analognas.errors import SpaceError
from analognas.search_spaces.family import family
from analognas.search_spaces.resnet_plan import BLOCK_TYPES, ConvPlan, _branch_params, branch_plan, plan


@pytest.mark.parametrize(
    ("shape", "strides", "sizes"),
    [
        ((1, 8, 8), [1, 1, 2, 1, 1, 1], [(8, 8), (8, 8), (4, 4), (4, 4), (4, 4), (4, 4)]),
        ((3, 32, 32), [1, 1, 2, 2, 2, 1], [(32, 32), (32, 32), (16, 16), (8, 8), (4, 4), (4, 4)]),
        ((1, 49, 10), [1, 1, 2, 2, 1, 1], [(49, 10), (49, 10), (25, 5), (13, 3), (13, 3), (13, 3)]),
        ((3, 96, 96), [2, 1, 2, 2, 2, 2], [(48, 48), (48, 48), (24, 24), (12, 12), (6, 6), (3, 3)]),
        ((1, 1, 1), [1, 1, 1, 1, 1, 1], [(1, 1)] * 6),
    ],
)
def test_feature_maps_are_halved_down_to_four(shape, strides, sizes):
    genes = {"out_channel0": 4, "kernel_size0": 3, "M": 5}
    for i in range(1, 6):
        genes |= {f"R{i}": 1, f"B{i}": 1, f"convblock{i}": "basic", f"widenfact{i}": 1}
    network = plan(genes, shape, 10)
    assert [network.stem.stride, *(blocks[0].branch[0].stride for blocks in network.main_blocks)] == strides
    layers = {layer.name: layer for layer in family("resnet").structure(genes, shape, 10).layers}
    names = ["stem.conv", *(f"main_blocks.{i}.0.branches.0.conv2" for i in range(5))]
    assert [(layers[name].out_height, layers[name].out_width) for name in names] == sizes


def test_the_stride_of_a_bottleneck_is_at_its_middle(two_blocks):
    network = plan(two_blocks, (3, 32, 32), 10)
    assert [(c.kernel_size, c.stride) for c in network.main_blocks[1][0].branch] == [(1, 1), (3, 2), (1, 1)]


def test_blocks_widen_and_only_what_changes_the_shape_has_a_convolution_for_a_shortcut(two_blocks):
    network = plan(two_blocks, (3, 32, 32), 10)
    assert network.stem == ConvPlan(3, 8, 5, 1)
    (first, second), (third,) = network.main_blocks
    assert (first.branches, third.branches) == (2, 3)
    assert first == second
    assert first.shortcut is None
    assert third.shortcut == ConvPlan(8, 16, 1, 2)
    assert [(one.in_channels, one.out_channels) for one in third.branch] == [(8, 4), (4, 4), (4, 16)]
    assert (network.features, network.classes) == (16, 10)


def test_only_the_first_of_a_main_block_has_a_stride(two_blocks):
    network = plan(two_blocks | {"R2": 3}, (3, 32, 32), 10)
    assert [[one.stride for one in block.branch] for block in network.main_blocks[1]] == [[1, 2, 1], [1] * 3, [1] * 3]
    assert [block.shortcut for block in network.main_blocks[1][1:]] == [None, None]


@pytest.mark.parametrize("block_type", BLOCK_TYPES)
@pytest.mark.parametrize("channels", [(3, 1), (8, 8), (8, 16)])
def test_the_count_of_a_branch_is_that_of_its_convolutions(block_type, channels):
    branch = branch_plan(block_type, *channels, 2)
    assert (branch[0].in_channels, branch[-1].out_channels) == channels
    weights = sum(one.in_channels * one.out_channels * one.kernel_size**2 for one in branch)
    assert _branch_params(block_type, *channels) == weights + 2 * sum(one.out_channels for one in branch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R1": None}, r"'R1' is missing: add it, add_hyperparameter\('R1', ...\), or keep M below its block"),
        ({"B1": 0}, "B1 = 0 builds no network: give an integer of at least 1"),
        ({"out_channel0": "8"}, "out_channel0 = '8' builds no network"),
        ({"kernel_size0": 4}, "kernel_size0 = 4 is even: use odd kernel sizes"),
        ({"convblock2": "dense"}, "convblock2 = 'dense' is no block type: use basic or bottleneck"),
    ],
)
def test_a_gene_that_builds_nothing_is_named_with_the_remedy(change, message, two_blocks):
    genes = {name: value for name, value in (two_blocks | change).items() if value is not None}
    with pytest.raises(SpaceError, match=message):
        plan(genes, (3, 32, 32), 10)
