import stat
import sys
from pathlib import Path

import pytest

from analognas.hardware.chips import zigzag_28nm
from analognas.hardware.cost import costs_of_layers
from benchmarks import cost


def test_five_networks_and_the_published_figures():
    assert len(cost.networks()) == 5
    found = cost.anchors()
    assert {name: row["tiles"] for name, row in found.items()} == {"resnet32": 43, "t500": 27}
    assert all(abs(row["off_percent"]) < 0.5 for row in found.values())


def test_architectures_are_counted():
    assert set(cost.speed(20)) == {"resnet", "nasbench201"}


def test_the_comparison_adds_up_layers_of_a_shape():
    network, chip = cost.networks()["digits"], zigzag_28nm(64)
    shapes = cost.layers_of(network.structure)
    assert sum(shapes.values()) == len(network.structure.layers)
    energies = costs_of_layers(network.structure, chip)["energy_uj"] * 1e6
    theirs = {
        (one.in_channels, one.out_channels, one.kernel_size, one.out_height, one.out_width): energy
        for one, energy in zip(network.structure.layers, energies, strict=True)
    }
    assert cost.compared(chip, theirs, network)["off_percent"] == 0
    twice = {shape: 2 * energy for shape, energy in theirs.items()}
    assert cost.compared(chip, twice, network)["off_percent"] == -50


def test_zigzag_is_asked_through_a_python_of_its_own(tmp_path: Path):
    python = tmp_path / "python"
    answer = '{"energies": [1.0], "vector_ns": 2.0}'
    python.write_text(f"#!{sys.executable}\nimport sys\nassert sys.argv[1].endswith('_zigzag.py')\nprint('{answer}')\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    assert cost.by_zigzag(str(python), [(1, 1, 1, 1, 1)], 8) == {"energies": [1.0], "vector_ns": 2.0}
    python.write_text(f"#!{sys.executable}\nraise SystemExit('no ZigZag')\n")
    with pytest.raises(SystemExit, match="has no ZigZag that works: no ZigZag"):
        cost.by_zigzag(str(python), [(1, 1, 1, 1, 1)], 8)
