"""Layers through ZigZag's own cost model: run by the Python that has `zigzag-dse`, which is not that of this project.

Reads `{"rows": ..., "columns": ..., "layers": [[in, out, kernel, height, width], ...]}` from standard input and prints
the energy of the array for each layer in picojoules, and the time of a vector in nanoseconds: `{"energies": [...],
"vector_ns": ...}`. The array has analog cells of one weight each (1 bit there, so that a column has one ADC), inputs of
8 bits at once and ADCs of 8 bits; how a layer is laid on it is ZigZag's own search. Memories are there because ZigZag
asks for them; their energy is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

_PORTS = {
    "cells": ("I2",), "inputs": ("I1",), "outputs": ("O",), "sram": ("I1", "O"), "dram": ("I1", "I2", "O"),
}  # fmt: skip


def memory(name: str, size: int, served: list[str]) -> dict[str, Any]:
    """Return a memory of `size` bits that may be read and written at once."""
    allocation = [f"{operand}, {way}" for operand in _PORTS[name] for way in ("fh", "tl")]
    allocation += ["O, fl", "O, th"] if "O" in _PORTS[name] else []
    port = {
        "name": "rw_port_1",
        "type": "read_write",
        "bandwidth_min": 8,
        "bandwidth_max": 1 << 20,
        "allocation": allocation,
    }
    return {
        "size": size, "r_cost": 0, "w_cost": 0, "area": 0, "latency": 1, "operands": list(_PORTS[name]),
        "ports": [port], "served_dimensions": served,
    }  # fmt: skip


def accelerator(rows: int, columns: int) -> dict[str, Any]:
    """Return one array of analog cells with memories around it."""
    both = ["D1", "D2"]
    return {
        "name": "aimc",
        "memories": {
            "cells": memory("cells", 1, []),
            "inputs": memory("inputs", 8, ["D1"]),
            "outputs": memory("outputs", 16, ["D2"]),
            "sram": memory("sram", 1 << 30, both),
            "dram": memory("dram", 1 << 40, both),
        },
        "operational_array": {
            "is_imc": True,
            "imc_type": "analog",
            "input_precision": [8, 1],
            "bit_serial_precision": 8,
            "adc_resolution": 8,
            "dimensions": both,
            "sizes": [columns, rows],
        },
    }


MAPPING = [
    {
        "name": "default",
        "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
        "spatial_mapping_hint": {"D1": ["K"], "D2": ["C", "FX", "FY"]},
    }
]


def workload(layer: list[int]) -> list[dict[str, Any]]:
    """Return a convolution as ZigZag takes it; stride and padding change nothing that is counted."""
    before, after, kernel, height, width = layer
    return [
        {
            "id": 0,
            "name": "layer",
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": ["ix=1*ox+1*fx", "iy=1*oy+1*fy"],
            "loop_dims": ["B", "K", "C", "OY", "OX", "FY", "FX"],
            "loop_sizes": [1, after, before, height, width, kernel, kernel],
            "operand_precision": {"W": 1, "I": 8, "O": 16, "O_final": 8},
            "operand_source": {"I": 0, "W": 0},
        }
    ]


def main() -> None:
    """Read layers, write their energies."""
    import yaml
    from zigzag.api import get_hardware_performance_zigzag

    asked = json.load(sys.stdin)
    energies, vector_ns = [], 0.0
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)
        for name, content in (
            ("accelerator", accelerator(asked["rows"], asked["columns"])),
            ("mapping", MAPPING),
        ):
            Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
        for before, after, kernel, height, width in asked["layers"]:
            pixels = max(2, width)  # a layer without any loop in time ends ZigZag's report of it in an error
            Path("workload.yaml").write_text(yaml.safe_dump(workload([before, after, kernel, height, pixels])))
            logging.disable(logging.WARNING)
            *_, vector_ns, _, evaluated = get_hardware_performance_zigzag(
                "workload.yaml", "accelerator.yaml", "mapping.yaml", opt="energy", dump_folder="out",
                in_memory_compute=True, loma_show_progress_bar=False,
            )  # fmt: skip
            energies.append(float(evaluated[0][0].mac_energy) * width / pixels)
    print(json.dumps({"energies": energies, "vector_ns": float(vector_ns)}))


if __name__ == "__main__":
    main()
