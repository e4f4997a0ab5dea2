from __future__ import annotations

import pytest

import analognas.hardware
from analognas.hardware import analog, carrying_over


def test_public_names_are_there() -> None:
    for name in analognas.hardware.__all__:
        where = carrying_over if name == "torch_tiles" else analog
        assert getattr(analognas.hardware, name) is getattr(where, name)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = analognas.hardware.nothing
