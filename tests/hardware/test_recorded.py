from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from analognas.errors import HardwareError, MismatchError
from analognas.hardware.recorded import from_record, record
from analognas.hardware.rpu_config import describe, digest
from analognas.params import HardwareParams

BENCH = HardwareParams()


def test_changed_hardware_is_a_mismatch_that_names_the_difference() -> None:
    recorded = copy.deepcopy(record(BENCH))
    recorded["description"]["modifier"]["std_dev"] = 0.1
    with pytest.raises(MismatchError, match=r"rpu_config\.modifier\.std_dev was 0\.1 and is 0\.06"):
        from_record(recorded)
    recorded = copy.deepcopy(record(BENCH))
    del recorded["description"]["clip"]["sigma"]
    with pytest.raises(MismatchError, match=r"rpu_config\.clip\.sigma was 'absent' and is 2\.0"):
        from_record(recorded)


def test_the_record_holds_what_was_set_and_nothing_else() -> None:
    assert set(record(HardwareParams())) == {"rpu_config", "tile_size", "layers", "digest", "description"}
    spec = HardwareParams(rpu_config="pcm-hermes", adc_bits=6, drift_scale=0.5)
    recorded = record(spec)
    assert recorded["adc_bits"] == 6
    rebuilt, chip = from_record(recorded)
    assert rebuilt == spec
    assert chip.noise_model.drift_scale == 0.5


@pytest.mark.parametrize("tile_size", [64, (128, 64), (512, 0)])
def test_tiles_that_were_asked_for_are_rebuilt_as_asked_for(tile_size: Any) -> None:
    spec = HardwareParams(tile_size=tile_size, layers="aihwkit")
    recorded = json.loads(json.dumps(record(spec)))
    assert recorded["tile_size"] == spec.tile_shape.plain()
    rebuilt, config = from_record(recorded)
    assert rebuilt == spec
    assert describe(config) == recorded["description"]
    assert recorded["digest"] == digest(config)


def test_a_chip_that_is_not_there_any_more_is_refused() -> None:
    with pytest.raises(HardwareError, match="gone_chip"):
        from_record(record(BENCH) | {"rpu_config": "gone_chip:chip"})
