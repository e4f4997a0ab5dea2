import pytest

from analognas.errors import HardwareError
from analognas.hardware.chips import ANALOGNAS_PROJECTED, HERMES_1_PHASE, Chip, zigzag_28nm
from analognas.hardware.cost import COLUMNS, cost, costs, costs_of_layers, effort, layer_tiles, tiles, utilisation
from analognas.hardware.tile_shape import TileShape
from analognas.search_spaces import AnalogLayer, Architecture, ConfigSpace, Genes, SpaceId, Structure
from analognas.search_spaces.baseline import residual_network
from analognas.search_spaces.nasbench201 import NASBench201Space

CIFAR = SpaceId("resnet-cifar10", "resnet", (3, 32, 32), 10)


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


#: Ten times the figures of a chip by hand.
HAND = Chip("by hand", (32, 16), vector_ns=100, tile_pj=1000, row_pj=10, column_pj=1)


def test_costs_by_hand():
    # 27 x 8 and 8 x 20 side by side, 64 pixels each; then 20 x 10, once.
    layers = (
        AnalogLayer("a", "conv", 3, 8, 3, 1, 8, 8, False, 1),
        AnalogLayer("b", "conv", 8, 20, 1, 2, 4, 8, False, 1),
        AnalogLayer("c", "linear", 40, 10, 1, 1, 1, 1, True, 2),
    )
    structure = Structure(layers, 0, 2, 2, 0, ())
    known = cost(structure, HAND)
    # On tiles of 32 x 16: 1, 1 x 2 and 2 x 1 of them
    assert known["tiles"] == 5
    assert known["utilisation"] == pytest.approx((27 * 8 + 8 * 20 + 40 * 10) / (5 * 32 * 16))
    assert known["vectors"] == 64 + 2 * 32 + 2 * 1
    assert known["dac_conversions"] == 64 * 27 + 32 * 8 * 2 + 40
    assert known["adc_conversions"] == 64 * 8 + 32 * 20 + 10 * 2
    assert known["latency_us"] == pytest.approx((64 + 1) * 0.1)
    assert known["interval_us"] == pytest.approx(64 * 0.1)
    energy = known["vectors"] * 1000 + known["dac_conversions"] * 10 + known["adc_conversions"]
    assert known["energy_uj"] == pytest.approx(energy / 1e6)
    assert all(type(value) in (int, float) for value in known.values())
    each = costs_of_layers(structure, HAND)
    assert each["name"].tolist() == ["a", "b", "c"]
    for name in ("tiles", "vectors", "energy_uj"):
        assert each[name].sum() == pytest.approx(known[name])
    assert each["latency_us"].tolist() == pytest.approx([6.4, 3.2, 0.1])


def test_resnet32_has_the_published_tiles_time_and_energy():
    """AnalogNAS, arXiv 2305.10459, table IV: 43 tiles, 0.434 ms, 43,956.7 inferences/s/W."""
    resnet32 = residual_network(CIFAR, 5, 500_000)
    assert resnet32 is not None
    assert resnet32.genes["out_channel0"] == 16
    known = cost(resnet32, ANALOGNAS_PROJECTED)
    assert known["tiles"] == 43
    assert known["latency_us"] == pytest.approx(434, rel=0.005)
    assert 1e6 / known["energy_uj"] == pytest.approx(43_956.7, rel=0.005)
    assert cost(resnet32, HERMES_1_PHASE)["tiles"] == 62
    assert cost(resnet32, HERMES_1_PHASE)["latency_us"] == pytest.approx(1_920, rel=0.005)


def test_the_space_has_a_network_of_the_published_winners_size_tiles_and_time():
    """T500 of the same table: 417 K parameters, 27 tiles, 0.108 ms; and 54,502 inferences/s/W, which fitted nothing."""
    genes = {"out_channel0": 19, "kernel_size0": 7, "M": 2, "R1": 1, "B1": 3, "convblock1": "basic", "widenfact1": 1}
    genes |= {"R2": 1, "B2": 6, "convblock2": "basic", "widenfact2": 4}
    network = ConfigSpace("CIFAR-10").architecture(genes)
    known = cost(network, ANALOGNAS_PROJECTED)
    assert network.params == pytest.approx(417_000, rel=0.005)
    assert known["tiles"] == 27
    assert known["latency_us"] == pytest.approx(108, rel=0.005)
    assert 1e6 / known["energy_uj"] == pytest.approx(54_502, rel=0.05)


@pytest.mark.parametrize(
    "space",
    [
        ConfigSpace("digits"),
        ConfigSpace("CIFAR-10"),
        ConfigSpace("KWS"),
        ConfigSpace("VWW"),
        NASBench201Space(channels=[3, 30], cells=[1, 4]),
        NASBench201Space(input_shape=(1, 49, 10), classes=12),
    ],
    ids=["digits", "cifar", "kws", "vww", "cells", "cells-odd"],
)
@pytest.mark.parametrize("chip", [HERMES_1_PHASE, HAND, zigzag_28nm((40, 0))], ids=lambda chip: chip.name)
def test_a_network_costs_the_same_counted_by_shape_as_layer_by_layer(space: ConfigSpace, chip: Chip):
    networks = space.sample(30, seed=3)
    by_shape, by_layer = costs(networks, chip), costs([one.structure for one in networks], chip)
    assert list(by_shape) == list(COLUMNS)
    for name in COLUMNS:
        assert by_shape[name].tolist() == pytest.approx(by_layer[name].tolist(), rel=1e-12)
    assert by_shape["tiles"].tolist() == [tiles(one.structure, chip.tile) for one in networks]
    assert by_shape["utilisation"].tolist() == pytest.approx(
        [utilisation(one.structure, chip.tile) for one in networks]
    )


def test_no_networks_cost_nothing():
    assert costs([], HAND).shape == (0, len(COLUMNS))


def test_more_of_anything_costs_more():
    genes = {"out_channel0": 8, "kernel_size0": 3, "M": 1, "R1": 2, "B1": 2, "convblock1": "basic", "widenfact1": 2}
    known = [
        cost(Architecture(CIFAR, Genes({**genes, name: value}), 0), HAND)
        for name, value in (("M", 1), ("R1", 3), ("B1", 3), ("widenfact1", 3), ("kernel_size0", 5))
    ]
    for other in known[1:]:
        assert other["energy_uj"] > known[0]["energy_uj"]
    assert known[1]["latency_us"] > known[0]["latency_us"]
    assert known[2]["latency_us"] == known[0]["latency_us"]  # a branch works beside the others
