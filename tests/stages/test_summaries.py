from __future__ import annotations

from typing import Any

import pytest

from analognas.files import read_sealed
from analognas.stages import summaries
from analognas.workspace import Paths

#: Those that are written only where there is something to say.
SOMETIMES = {"prior"}  # of an evaluator that starts from another
TYPES: dict[str, Any] = {
    "sample": summaries.SampleSummary,
    "characterize": summaries.CharacterizeSummary,
    "fit": summaries.FitSummary,
    "search": summaries.SearchSummary,
    "train": summaries.TrainSummary,
}


@pytest.mark.parametrize("stage", TYPES)
def test_what_a_stage_writes_has_the_keys_of_its_type(finished: Paths, stage: str):
    written = read_sealed(finished.metrics(stage), remedy="")
    assert TYPES[stage].__required_keys__ | TYPES[stage].__optional_keys__ == set(written) | (
        SOMETIMES if stage == "fit" else set()
    )
