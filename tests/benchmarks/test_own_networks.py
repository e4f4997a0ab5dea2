from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import own_networks


def test_textures_are_drawn_from_their_seed() -> None:
    x, y = own_networks.textures(12)
    again, _ = own_networks.textures(12)
    other, _ = own_networks.textures(12, seed=1)
    assert (x.shape, x.dtype, y.tolist()) == ((12, 3, 32, 32), np.uint8, [*range(6), *range(6)])
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)


@pytest.mark.slow
def test_a_network_is_measured_in_a_workspace_of_its_own(tmp_path: Path) -> None:
    paths = own_networks.make(tmp_path, 90, 1, 2)
    ((name, figures),) = own_networks.measure(paths, ["autoencoder"])
    assert (name, figures["params"]) == ("autoencoder", 445_006)
    assert 0 <= figures["acc_30d"] <= 100
    assert own_networks._line(name, figures).startswith("| autoencoder | 445,006 | ")
    assert own_networks._line("x", {"refused": "No."}) == "| x | No. |"


def test_blocks_on_tiles_are_compared_with_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_networks, "_BATCH", 2)
    told = own_networks.ratio(1)
    assert list(told) == ["forward and backward", "step", "evaluation", "evaluation, joined"]
    assert all(figures["ratio"] > 0 for figures in told.values())
