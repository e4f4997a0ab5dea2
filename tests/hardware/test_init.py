from __future__ import annotations

import pytest

import analognas.hardware
from analognas.hardware import analog


def test_public_names_are_there() -> None:
    assert all(getattr(analognas.hardware, name) is getattr(analog, name) for name in analognas.hardware.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = analognas.hardware.nothing
