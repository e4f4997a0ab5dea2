"""The whole drift protocol of one trained network: the fast layers against aihwkit, same repeats and times.

Several programmings, each drifted to five times and scored at each. On 600 small images (the handwritten digits'
shape), where programming and drift take most of aihwkit's time, and on 1,000 images of 3x32x32.

    python -m benchmarks.drift --json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks._timing import fix_process, machine, medians

TIMES = (1.0, 60.0, 3_600.0, 86_400.0, 2_592_000.0)


def cases(device: str) -> dict[str, tuple[Any, Any, Any]]:
    """Return trained networks with what they are measured on: name to (model, images, classes)."""
    import torch

    from analognas.hardware import convert
    from analognas.hardware.rpu_config import rpu_config
    from analognas.params import HardwareParams
    from analognas.search_spaces import ConfigSpace
    from analognas.search_spaces.baseline import plain_resnet
    from benchmarks.layers import networks

    torch.manual_seed(0)
    small = plain_resnet(ConfigSpace("digits", max_params=20_000), 20_000).build()
    prepared = {}
    for name, network, shape, images in (
        ("digits", small, (1, 8, 8), 600),
        ("plain", networks()["plain"], (3, 32, 32), 1_000),
    ):
        x, y = torch.randn(images, *shape), torch.randint(10, (images,))
        model = convert(network, rpu_config(HardwareParams(tile_size=256 if name == "digits" else 1024))).train()
        with torch.no_grad():
            for _ in range(5):  # batch statistics and input ranges
                model(x[:200])
        prepared[name] = model.to(device).eval(), x.to(device), y.to(device)
    return prepared


def measure(repeats: int, rounds: int, device: str) -> dict[str, Any]:
    """Return how many times faster the fast layers are, and seconds."""
    from analognas.hardware import to_aihwkit
    from analognas.training import drift

    figures: dict[str, Any] = {"speed_up": {}, "seconds": {}}
    for name, (model, x, y) in cases(device).items():
        slow = to_aihwkit(model)

        def ours(model: Any = model, x: Any = x, y: Any = y) -> None:
            drift.measure(model, x, y, times=TIMES, repeats=repeats, seed=0)

        def aihwkit(model: Any = slow, x: Any = x, y: Any = y) -> None:
            _by_aihwkit(model, x, y, repeats)

        seconds = medians({"ours": ours, "aihwkit": aihwkit}, rounds, warm_up=1)
        figures["speed_up"][name] = round(seconds["aihwkit"] / seconds["ours"], 2)
        figures["seconds"][name] = {key: round(value, 3) for key, value in seconds.items()}
    return figures


def _by_aihwkit(model: Any, x: Any, y: Any, repeats: int) -> list[float]:
    """Run the protocol as aihwkit's examples do: its methods, batches of 100."""
    import torch

    from analognas.hardware import clean_state, load_clean_state

    clean, accuracies = clean_state(model), []
    with torch.no_grad():
        for _ in range(repeats):
            model.program_analog_weights()
            for time in TIMES:
                model.drift_analog_weights(time)
                correct = sum(
                    int((model(x[start : start + 100]).argmax(1) == y[start : start + 100]).sum())
                    for start in range(0, len(x), 100)
                )
                accuracies.append(correct / len(x))
    load_clean_state(model, clean)
    return accuracies


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="programmings")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; a characterization runs on one")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    fix_process(arguments.threads)
    figures = measure(arguments.repeats, arguments.rounds, arguments.device) | {"machine": machine()}
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, factor in figures["speed_up"].items():
        print(f"{name:8} {factor:.1f} times faster than aihwkit  {figures['seconds'][name]}")


if __name__ == "__main__":
    main()
