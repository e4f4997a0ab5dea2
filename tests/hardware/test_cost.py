import pytest

from analognas.errors import HardwareError
from analognas.hardware.cost import effort, layer_tiles, tiles, utilisation
from analognas.hardware.tile_shape import TileShape
from analognas.search_spaces import AnalogLayer, ConfigSpace, Structure


def conv(in_channels, out_channels, kernel_size):
    return AnalogLayer("conv", "conv", in_channels, out_channels, kernel_size, 1, 8, 8, False, 1)


def linear(in_features, out_features):
    return AnalogLayer("linear", "linear", in_features, out_features, 1, 1, 1, 1, True, 1)


def test_tiles_and_utilisation_by_hand():
    structure = Structure((conv(3, 8, 3), conv(8, 64, 3), linear(64, 10)), 144, 3, 3, 0, ())
    # 27x8: 1 tile; 72x64: 2 x 1 tiles; 64x10: 1 tile
    assert [layer_tiles(layer, 64) for layer in structure.layers] == [1, 2, 1]
    assert tiles(structure, 64) == 4
    assert utilisation(structure, 64) == pytest.approx((27 * 8 + 72 * 64 + 64 * 10) / (4 * 64 * 64))
    full = Structure((linear(128, 64),), 0, 1, 1, 0, ())
    assert utilisation(full, 64) == 1.0


def test_rows_and_columns_of_a_tile_may_differ_and_need_not_be_split():
    structure = Structure((conv(3, 8, 3), conv(8, 64, 3), linear(64, 10)), 144, 3, 3, 0, ())
    # 27x8, 72x64, 64x10 on tiles of 40 x 20
    assert [layer_tiles(layer, (40, 20)) for layer in structure.layers] == [1, 2 * 4, 2]
    assert utilisation(structure, (40, 20)) == pytest.approx(structure.weights / (11 * 40 * 20))
    # 40 rows and as many columns as there are
    assert tiles(structure, (40, 0)) == 1 + 2 + 2
    assert utilisation(structure, (40, 0)) == pytest.approx(structure.weights / (40 * 8 + 80 * 64 + 80 * 10))
    assert (tiles(structure, (0, 0)), utilisation(structure, (0, 0))) == (3, 1.0)


def test_effort_counts_multiplications_outputs_and_layers():
    structure = Structure((conv(3, 8, 3), linear(64, 10)), 16, 2, 2, 0, ())
    macs, outputs = 8 * 8 * 3 * 8 * 9 + 64 * 10, 8 * 8 * 8 + 10
    assert (structure.macs, structure.outputs) == (macs, outputs)
    assert effort(structure) == macs + 350 * outputs + 250_000 * 2


@pytest.mark.parametrize("tile_size", [0, -1])
def test_a_tile_has_a_size(tile_size):
    structure = ConfigSpace("digits").smallest().structure
    for use in (tiles, utilisation):
        with pytest.raises(HardwareError, match=f"tile size is {tile_size}"):
            use(structure, tile_size)


@pytest.fixture(scope="module")
def aihwkit_arrays():
    """Return a function: (digital module, tile size) -> for each analog layer the parts of rows and columns."""
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    def arrays(module, tile_size):
        config = TorchInferenceRPUConfig()
        config.mapping.digital_bias = True
        shape = TileShape.of(tile_size)
        config.mapping.max_input_size, config.mapping.max_output_size = shape.rows, shape.columns
        found = []
        for layer in convert_to_analog(module, config).analog_layers():
            array, count = layer.analog_module, len(list(layer.analog_tiles()))
            # a layer that fits on one tile is that tile, otherwise an array of tiles
            rows = array.in_sizes if hasattr(array, "in_sizes") else [array.in_size]
            columns = array.out_sizes if hasattr(array, "out_sizes") else [array.out_size]
            found.append((tuple(rows), tuple(columns), count))
        return found

    return arrays


@pytest.mark.parametrize("tile_size", [16, 27, 64, 256, (27, 8), (8, 27), (16, 0), (0, 5), (0, 0)])
@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 8, 7), (8, 33, 3), (16, 64, 1), (5, 17, 5)])
def test_a_convolution_is_split_as_aihwkit_splits_it(aihwkit_arrays, shape, tile_size):
    from torch import nn

    layer = conv(*shape)
    [(rows, columns, count)] = aihwkit_arrays(nn.Sequential(nn.Conv2d(*shape, bias=False)), tile_size)
    assert (sum(rows), sum(columns)) == (layer.rows, layer.columns)
    assert count == layer_tiles(layer, tile_size)


@pytest.mark.parametrize("shape", [(64, 10), (65, 64), (300, 70), (16, 2)])
def test_a_linear_layer_is_split_as_aihwkit_splits_it_without_its_bias(aihwkit_arrays, shape):
    from torch import nn

    layer = linear(*shape)
    [(rows, columns, count)] = aihwkit_arrays(nn.Sequential(nn.Linear(*shape)), 64)
    assert (sum(rows), sum(columns)) == (layer.rows, layer.columns)
    assert count == layer_tiles(layer, 64)


def test_a_whole_network_occupies_what_aihwkit_makes_of_it(aihwkit_arrays):
    for tile_size in (32, (32, 8), (40, 0)):
        for architecture in ConfigSpace("digits", max_params=8_000).sample(3, seed=0):
            found = aihwkit_arrays(architecture.build(), tile_size)
            assert len(found) == len(architecture.structure.layers)
            assert sum(count for _, _, count in found) == tiles(architecture.structure, tile_size)
