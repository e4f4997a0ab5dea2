from __future__ import annotations

import pytest

from analognas.search_spaces import ConfigSpace
from benchmarks._characterizing import characterized, plain_epoch


@pytest.mark.long
def test_a_characterization_is_taken_apart():
    genes = dict(ConfigSpace("digits", max_params=300).smallest().genes)
    setup = {"max_params": 300, "epochs": 2, "hwa_epochs": 2, "repeats": 2, "seed": 0}
    found = characterized(genes, setup)
    seconds = found["seconds"]
    assert seconds["whole"] >= seconds["digital"] + seconds["hardware-aware"] + seconds["drift"]
    assert all(found["each"][part] > 0 for part in ("digital", "hardware-aware", "drift"))
    assert set(found["accuracy"]) == {"acc_digital", "acc_hwa", "acc_1d", "avm"}
    assert found["megabytes"] > 10
    assert plain_epoch(genes, setup) > 0
