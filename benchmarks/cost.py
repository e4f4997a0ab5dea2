"""What a network costs on a chip: how fast that is counted, and how far from what others say.

Reported is how many architectures are counted in a second of one core (of the published space and of cells); tiles,
time and energy of the networks whose published figures are known; and, with `--zigzag`, the energy of five networks by
the formulas of the chip `zigzag-28nm` beside that by ZigZag itself (`zigzag-dse`), which lays each layer on its array
by its own search: deviations of the energies in percent. ZigZag has to be installed elsewhere, since it brings other
versions:

    python -m venv /tmp/zigzag && /tmp/zigzag/bin/pip install zigzag-dse==3.9.1 six
    python -m benchmarks.cost --zigzag /tmp/zigzag/bin/python --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.hardware.chips import Chip
    from analognas.search_spaces import Architecture, Structure

#: AnalogNAS, arXiv 2305.10459, table IV: tiles, milliseconds, microjoules.
PUBLISHED = {"resnet32": (43, 0.434, 22.75), "t500": (27, 0.108, 18.35)}


def networks() -> dict[str, Architecture]:
    """Return five networks of three families and three shapes of images."""
    from analognas.search_spaces import ConfigSpace
    from analognas.search_spaces.baseline import residual_network
    from analognas.search_spaces.nasbench201 import NASBench201Space

    cifar, digits = ConfigSpace("CIFAR-10"), ConfigSpace("digits")
    space = cifar.smallest().space
    t500 = {"out_channel0": 19, "kernel_size0": 7, "M": 2, "R1": 1, "B1": 3, "convblock1": "basic", "widenfact1": 1}
    t500 |= {"R2": 1, "B2": 6, "convblock2": "basic", "widenfact2": 4}
    cell = {"edge12": 2, "edge13": 1, "edge14": 0, "edge23": 2, "edge24": 1, "edge34": 3}
    small = {"out_channel0": 16, "kernel_size0": 5, "M": 1, "R1": 1, "B1": 2, "convblock1": "basic", "widenfact1": 1}
    deep = {"out_channel0": 8, "kernel_size0": 3, "M": 2, "R1": 2, "B1": 1, "convblock1": "bottleneck", "widenfact1": 4}
    deep |= {"R2": 2, "B2": 1, "convblock2": "bottleneck", "widenfact2": 2}
    resnet32 = residual_network(space, 5, 500_000)
    assert resnet32 is not None
    return {
        "resnet32": resnet32,
        "t500": cifar.architecture(t500),
        "cell": NASBench201Space().architecture(cell),
        "digits": digits.architecture(small),
        "bottlenecks": ConfigSpace("KWS").architecture(deep),
    }


def speed(count: int) -> dict[str, int]:
    """Return how many architectures are counted in a second of one core, by family."""
    from analognas.hardware.chips import HERMES_1_PHASE
    from analognas.hardware.cost import costs
    from analognas.search_spaces import ConfigSpace
    from analognas.search_spaces.nasbench201 import NASBench201Space

    rates = {}
    for name, space in (("resnet", ConfigSpace("CIFAR-10")), ("nasbench201", NASBench201Space())):
        sample = space.sample(count, seed=1)
        costs(sample[:10], HERMES_1_PHASE)  # what is loaded once is no part of it
        start = time.process_time()
        costs(sample, HERMES_1_PHASE)
        rates[name] = round(count / (time.process_time() - start))
    return rates


def anchors() -> dict[str, dict[str, float]]:
    """Return the costs of the networks with published figures on `analognas-projected`, and deviations in percent."""
    from analognas.hardware.chips import ANALOGNAS_PROJECTED
    from analognas.hardware.cost import cost

    known = networks()
    table = {}
    for name, (tiles, milliseconds, microjoules) in PUBLISHED.items():
        figures = cost(known[name], ANALOGNAS_PROJECTED)
        table[name] = {
            "parameters": known[name].params,
            "tiles": figures["tiles"],
            "published_tiles": tiles,
            "milliseconds": round(figures["latency_us"] / 1e3, 5),
            "off_percent": round(100 * (figures["latency_us"] / 1e3 / milliseconds - 1), 2),
            "microjoules": round(figures["energy_uj"], 3),
            "energy_off_percent": round(100 * (figures["energy_uj"] / microjoules - 1), 2),
        }
    return table


def layers_of(structure: Structure) -> dict[tuple[int, ...], int]:
    """Return how many layers there are of each shape: inputs, outputs, kernel, height and width of the output."""
    counted: dict[tuple[int, ...], int] = {}
    for layer in structure.layers:
        shape = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.out_height, layer.out_width)
        counted[shape] = counted.get(shape, 0) + 1
    return counted


def by_zigzag(python: str, shapes: list[tuple[int, ...]], tile: int) -> dict[str, Any]:
    """Return the energies of layers by ZigZag (picojoules) and the time of a vector (nanoseconds)."""
    asked = json.dumps({"rows": tile, "columns": tile, "layers": shapes})
    script = Path(__file__).with_name("_zigzag.py")
    done = subprocess.run([python, str(script)], input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} has no ZigZag that works: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def compared(chip: Chip, theirs: dict[tuple[int, ...], float], network: Architecture) -> dict[str, float]:
    """Return our energy and theirs of a network in microjoules, and how far ours is off, percent."""
    from analognas.hardware.cost import cost

    ours = cost(network, chip)["energy_uj"]
    energy = sum(count * theirs[shape] for shape, count in layers_of(network.structure).items()) / 1e6
    return {
        "ours_uj": round(ours, 4),
        "zigzag_uj": round(energy, 4),
        "off_percent": round(100 * (ours / energy - 1), 2),
    }


def beside_zigzag(python: str, tile: int) -> dict[str, Any]:
    """Return the comparison for all networks."""
    from analognas.hardware.chips import zigzag_28nm

    known, chip = networks(), zigzag_28nm(tile)
    shapes = sorted({shape for network in known.values() for shape in layers_of(network.structure)})
    answer = by_zigzag(python, shapes, tile)
    theirs = dict(zip(shapes, answer["energies"], strict=True))
    return {
        "tile": tile,
        "vector_ns": {"ours": round(chip.vector_ns, 3), "zigzag": round(answer["vector_ns"], 3)},
        "networks": {name: compared(chip, theirs, network) for name, network in known.items()},
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="architectures to count")
    parser.add_argument("--zigzag", metavar="PYTHON", help="a Python that has zigzag-dse")
    parser.add_argument("--tile", type=int, default=256, help="rows and columns of the tiles that are compared")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    measured: dict[str, Any] = {"architectures_per_second": speed(arguments.count), "published": anchors()}
    if arguments.zigzag:
        measured["zigzag"] = beside_zigzag(arguments.zigzag, arguments.tile)
    if arguments.json:
        print(json.dumps(measured))
        return
    for name, rate in measured["architectures_per_second"].items():
        print(f"{name:12} {rate:>8,} architectures a second")
    for name, row in measured["published"].items():
        print(f"{name:12} {row['tiles']} tiles, {row['milliseconds']} ms ({row['off_percent']:+} %), "
              f"{row['microjoules']} uJ ({row['energy_off_percent']:+} %)")  # fmt: skip
    for name, row in measured.get("zigzag", {}).get("networks", {}).items():
        print(f"{name:12} {row['ours_uj']} uJ, ZigZag {row['zigzag_uj']} uJ ({row['off_percent']:+} %)")


if __name__ == "__main__":
    main()
