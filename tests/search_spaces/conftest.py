from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def two_blocks() -> dict[str, Any]:
    """Return genes of a network whose layers can be counted by hand: basic branches, then bottlenecks."""
    return {
        "out_channel0": 8,
        "kernel_size0": 5,
        "M": 2,
        "R1": 2,
        "B1": 2,
        "convblock1": "basic",
        "widenfact1": 1,
        "R2": 1,
        "B2": 3,
        "convblock2": "bottleneck",
        "widenfact2": 2,
    }
