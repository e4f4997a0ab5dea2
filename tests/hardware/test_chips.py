import sys
from types import SimpleNamespace

import pytest

from analognas.errors import HardwareError
from analognas.hardware.chips import (
    ANALOGNAS_PROJECTED,
    CHIPS,
    FIGURES,
    HERMES_1_PHASE,
    HERMES_4_PHASE,
    ZIGZAG,
    Chip,
    chip,
    zigzag_28nm,
)
from analognas.hardware.cost import cost
from analognas.hardware.params import CostParams, HardwareParams
from analognas.hardware.tile_shape import TileShape
from analognas.search_spaces import AnalogLayer, Structure


@pytest.mark.parametrize(("made", "tops", "per_watt"), [(HERMES_1_PHASE, 63.1, 9.76), (HERMES_4_PHASE, 16.1, 2.48)])
def test_hermes_in_full_use_does_what_was_measured(made: Chip, tops: float, per_watt: float):
    # One layer whose matrix fills all 64 cores; an operation is a multiplication or an addition.
    full = Structure((AnalogLayer("all", "linear", 2048, 2048, 1, 1, 1, 1, False, 1),), 0, 1, 1, 0, ())
    known = cost(full, made)
    assert (known["tiles"], known["utilisation"]) == (64, 1.0)
    operations = 2 * 2048 * 2048
    assert operations / known["latency_us"] / 1e6 == pytest.approx(tops, rel=0.01)
    assert operations / known["energy_uj"] / 1e6 == pytest.approx(per_watt, rel=0.01)


def test_a_core_of_hermes_takes_what_its_papers_figures_come_to():
    assert (HERMES_1_PHASE.vector_ns, HERMES_1_PHASE.tile_pj) == pytest.approx((132.9, 13_430), rel=1e-3)
    assert (HERMES_4_PHASE.vector_ns, HERMES_4_PHASE.tile_pj) == pytest.approx((521.0, 52_850), rel=1e-3)


def test_zigzag_by_hand():
    made = zigzag_28nm(512)
    # 31.87 ns of an ADC of 8 bits at 512 rows, and a gate; 8 bits and 512 cells at 0.9 V
    assert made.vector_ns == pytest.approx(8 * (0.00653 * 512 + 0.640) + 0.0478)
    assert made.row_pj == pytest.approx((50 * 8 + 0.35 * 512) * 0.81e-3)
    assert made.column_pj == pytest.approx((100 * 8 + 0.001 * 4**8 + 0.35 * 512) * 0.81e-3)
    assert made.tile_pj == 0
    other = zigzag_28nm((256, 64), dac_bits=6, adc_bits=5, vdd=1.0)
    assert other.vector_ns == pytest.approx(5 * (0.00653 * 256 + 0.640) + 0.0478)
    assert other.row_pj == pytest.approx((50 * 6 + 0.35 * 64) * 1e-3)
    assert other.column_pj == pytest.approx((100 * 5 + 0.001 * 4**5 + 0.35 * 256) * 1e-3)
    assert zigzag_28nm((0, 512)).column_pj == made.column_pj  # a side that is not split counts as 512


def test_the_usual_chip_has_the_tiles_that_are_asked_for():
    assert chip().name == chip(tile=256).name == "hermes-1-phase"
    assert chip(tile=512) == ANALOGNAS_PROJECTED
    for tile in (64, (512, 64), (512, 0)):
        assert (chip(tile=tile).name, chip(tile=tile).shape) == ("zigzag-28nm", TileShape.of(tile))
    assert chip("zigzag-28nm", 100).shape == TileShape(100, 100)
    with pytest.raises(HardwareError, match="hermes-4-phase has tiles of 256 x 256, and tiles of 64 x 64 are asked"):
        chip("hermes-4-phase", 64)


def test_every_constant_has_a_source_and_may_be_replaced():
    for name in CHIPS:
        if name == "own":
            continue
        assert {constant.name for constant in chip(name).constants if not constant.source} == set()
        made = chip(name, constants={"vector_ns": 7, "tile_pj": 3})
        assert (made.vector_ns, made.tile_pj, made.row_pj) == (7, 3, chip(name).row_pj)
        assert made.name == f"{name} with vector_ns 7, tile_pj 3"
        told = {constant.name: constant for constant in made.constants}
        assert told["vector_ns"].source == "given by the user"
    for name, (value, _, _) in ZIGZAG.items():
        made, usual = chip("zigzag-28nm", constants={name: 2 * value}), chip("zigzag-28nm")
        assert [getattr(made, figure) for figure in FIGURES] != [getattr(usual, figure) for figure in FIGURES]
        assert next(one for one in made.constants if one.name == name).value == 2 * value


def test_a_chip_of_constants_alone():
    made = chip("own", 128, constants={"vector_ns": 40, "column_pj": 2})
    assert (made.name, made.shape, made.vector_ns, made.column_pj, made.row_pj) == (
        "own",
        TileShape(128, 128),
        40,
        2,
        0,
    )
    assert made.to_dict()["constants"][0] == {
        "name": "vector_ns", "value": 40, "unit": "ns", "source": "given by the user",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "constants", "message"),
    [
        ("hermes", {}, "unknown chip 'hermes': did you mean 'hermes-"),
        ("own", {}, "The chip own has no vector_ns: give it, ns for a vector through a tile"),
        ("own", {"vector_ns": 3}, "The chip own takes no energy: give tile_pj, row_pj or column_pj"),
        ("own", {"vector_ns": 3, "vdd": 3}, "The chip own has no constant 'vdd'"),
        ("hermes-1-phase", {"vector_s": 3}, r"no constant 'vector_s': did you mean 'vector_ns'\?"),
        ("zigzag-28nm", {"vd": 3}, r"no constant 'vd': did you mean 'vdd'\?"),
        ("zigzag-28nm", {"vdd": -1}, "vdd of zigzag-28nm is -1: give a number of at least 0"),
        ("hermes-1-phase", {"vector_ns": 0}, "vector_ns of the chip hermes-1-phase is 0: give a number above 0"),
        ("hermes-1-phase", {"tile_pj": float("nan")}, "is nan: give a number of at least 0"),
        ("nowhere:chip", {}, "chip 'nowhere:chip' cannot be imported"),
    ],
)
def test_what_is_no_chip_is_refused_with_the_remedy(name: str, constants: dict[str, float], message: str):
    with pytest.raises(HardwareError, match=message):
        chip(name, constants=constants)


def test_a_chip_of_the_users_own(monkeypatch: pytest.MonkeyPatch):
    mine = Chip("mine", (128, 64), vector_ns=20, row_pj=1, sources={"vector_ns": "measured"})

    def broken() -> Chip:
        raise ValueError("no figures yet")

    module = SimpleNamespace(mine=mine, make=lambda: mine, broken=broken, number=3, other=lambda: "chip")
    monkeypatch.setitem(sys.modules, "my_costs", module)
    assert chip("my_costs:mine", (128, 64)) == chip("my_costs:make") == mine
    assert chip("my_costs:mine", constants={"row_pj": 2}).row_pj == 2
    assert [constant.source for constant in mine.constants] == ["measured", "given by the user"]
    for name, message in (
        ("number", "is a int: let it be an analognas.hardware.chips.Chip"),
        ("other", "is a str: let it be"),
        ("broken", "cannot be made .*no figures yet"),
    ):
        with pytest.raises(HardwareError, match=message):
            chip(f"my_costs:{name}")


def test_the_section_of_params_yaml_takes_tiles_and_bits_of_the_simulated_chip():
    assert CostParams().of(HardwareParams()).name == "hermes-1-phase"
    assert CostParams().of(HardwareParams(rpu_config="analognas-512")).name == "analognas-projected"
    assert CostParams().of(HardwareParams(tile_size=64, adc_bits=6)) == zigzag_28nm(64, adc_bits=6)
    with pytest.raises(HardwareError, match=r"hardware\.tile_size"):
        CostParams(chip="analognas-projected").of(HardwareParams())
    own = CostParams(chip="own", constants={"vector_ns": 40, "tile_pj": 9}).of(HardwareParams(tile_size=[64, 32]))
    assert own.shape == TileShape(64, 32)
