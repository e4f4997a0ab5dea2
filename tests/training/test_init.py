from __future__ import annotations

import pytest

import analognas.training


def test_public_names_are_there() -> None:
    assert all(hasattr(analognas.training, name) for name in analognas.training.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = analognas.training.nothing
