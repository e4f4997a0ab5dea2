"""Train step and evaluation pass of analog layers, as multiples of plain PyTorch.

Side by side in one interleaved run: the fast layers, aihwkit's torch tiles, its compiled tiles where they load, and
aihwkit-lightning where it is installed (`make bench-env`). All have AnalogNAS-Bench's converters, noise and learned
input ranges. Plain PyTorch is there twice, in its default memory format (1.0) and with channels last, which the
fast layers use inside; the fast layers are evaluated as the drift protocol does it (`for_evaluation`).

Two networks, batches of 64 images of 3x32x32: seven plain 3x3 convolutions on one tile each, and a residual one
whose wider layers are split over several tiles.

    python -m benchmarks.layers --json
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks._timing import fix_process, machine, medians

BATCH, TILE_SIZE = 64, {"plain": 1024, "residual": 256}


def networks() -> dict[str, Any]:
    """Return the two digital networks."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
                nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
            )  # fmt: skip
            self.way = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else nn.Identity()

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.way(x))

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for index, after in enumerate([16, 16, 32, 32, 64, 64, 64]):
        stride = 2 if index in (2, 4) else 1
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1), Block(32, 64, 2), Block(64, 64, 1)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return {
        "plain": nn.Sequential(*layers, *copy.deepcopy(head)),
        "residual": nn.Sequential(*stem, *blocks, *copy.deepcopy(head)),
    }


def variants(network: Any, tile_size: int, device: str) -> dict[str, Any]:
    """Return the network in all its forms: name to (model, optimizer)."""
    import torch
    from aihwkit.optim import AnalogSGD

    from analognas.hardware import convert, to_aihwkit
    from analognas.hardware.rpu_config import rpu_config
    from analognas.params import HardwareParams

    def analog(model: Any) -> tuple[Any, Any]:
        optimizer = AnalogSGD(model.parameters(), lr=0.01, momentum=0.9)
        optimizer.regroup_param_groups(model)
        return model, optimizer

    def digital(model: Any) -> tuple[Any, Any]:
        return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    network = network.to(device)
    config = rpu_config(HardwareParams(tile_size=tile_size))
    config.pre_post.input_range.init_from_data = 5
    fast = convert(network, config)
    made = {
        "digital": digital(copy.deepcopy(network)),
        "digital_channels_last": digital(copy.deepcopy(network).to(memory_format=torch.channels_last)),
        "ours": analog(fast),
    }
    _settle(*made["ours"], device)  # input ranges as in the middle of a training, for all that have them
    made["aihwkit_torch"] = analog(to_aihwkit(fast))
    for name, make in (("aihwkit_cpp", _compiled), ("lightning", _lightning)):
        try:
            model, optimizer = make(network, tile_size)
            _settle(model, optimizer, device, steps=6)
            made[name] = model, optimizer
        except Exception as error:  # it is not installed, or does not run with this torch: left out, and said so
            warnings.warn(f"{name} is left out: {type(error).__name__}: {error}", stacklevel=1)
    return made


def _compiled(network: Any, tile_size: int) -> tuple[Any, Any]:
    """Return the network on aihwkit's compiled tiles."""
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.optim import AnalogSGD
    from aihwkit.simulator.configs import InferenceRPUConfig

    from analognas.hardware.presets import apply_bench

    config = apply_bench(InferenceRPUConfig())
    config.mapping.max_input_size = config.mapping.max_output_size = tile_size
    config.pre_post.input_range.init_from_data = 5
    model = convert_to_analog(network, config)
    optimizer = AnalogSGD(model.parameters(), lr=0.01, momentum=0.9)
    optimizer.regroup_param_groups(model)
    return model, optimizer


def _lightning(network: Any, tile_size: int) -> tuple[Any, Any]:
    """Return the network in aihwkit-lightning, configured as alike as it can be."""
    import torch
    from aihwkit_lightning.nn.conversion import convert_to_analog
    from aihwkit_lightning.optim import AnalogOptimizer
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig, WeightClipType, WeightModifierType

    config = TorchInferenceRPUConfig()
    config.forward.inp_res = config.forward.out_res = 1 / 254
    config.forward.out_bound, config.forward.out_noise = 10.0, 0.04
    config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.06
    config.clip.type, config.clip.sigma = WeightClipType.LAYER_GAUSSIAN, 2.0
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_from_data = 5
    config.pre_post.input_range.decay, config.pre_post.input_range.input_min_percentage = 0.01, 0.995
    config.mapping.max_input_size = tile_size
    model = convert_to_analog(network, config)
    return model, AnalogOptimizer(torch.optim.SGD, model.analog_layers, model.parameters(), lr=0.01, momentum=0.9)


def _images(device: str) -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, 32, 32, generator=generator).to(device)
    return x, torch.randint(10, (BATCH,), generator=generator).to(device)


def _settle(model: Any, optimizer: Any, device: str, steps: int = 30) -> None:
    step = train_step(model, optimizer, device)
    for _ in range(steps):
        step()


def train_step(model: Any, optimizer: Any, device: str, channels_last: bool = False) -> Callable[[], None]:
    """Return what does one step of training."""
    import torch
    from torch.nn.functional import cross_entropy

    x, y = _images(device)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()

    return step


def evaluation(model: Any, device: str, channels_last: bool = False) -> Callable[[], None]:
    """Return what does one pass in evaluation mode."""
    import torch

    x, _ = _images(device)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)

    def run() -> None:
        model.eval()
        with torch.no_grad():
            model(x)
        if device != "cpu":
            torch.cuda.synchronize()

    return run


def measure(rounds: int, device: str) -> dict[str, Any]:
    """Return the ratios to plain PyTorch in its default memory format, and milliseconds."""
    from analognas.hardware.evaluating import for_evaluation

    figures: dict[str, Any] = {"milliseconds": {}}
    for name, network in networks().items():
        models = variants(network, TILE_SIZE[name], device)
        ratios: dict[str, Any] = {}
        for phase in ("train", "eval"):
            runs: dict[str, Callable[[], None]] = {}
            for key, (model, optimizer) in models.items():
                last = key.endswith("last")
                if phase == "train":
                    runs[key] = train_step(model, optimizer, device, last)
                else:
                    form = for_evaluation(model.eval()) if key == "ours" else model
                    runs[key] = evaluation(form, device, last)
            seconds = medians(runs, rounds)
            ratios[phase] = {key: round(value / seconds["digital"], 3) for key, value in seconds.items()}
            figures["milliseconds"][f"{name}_{phase}"] = {key: round(1000 * value, 2) for key, value in seconds.items()}
        if name == "plain":
            figures |= ratios
        else:
            figures[name] = ratios
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of each phase")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; a characterization runs on one")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    fix_process(arguments.threads)
    figures = measure(arguments.rounds, arguments.device) | {"machine": machine()}
    if arguments.json:
        print(json.dumps(figures))
        return
    for title, part in (("plain", figures), ("residual", figures["residual"])):
        for phase in ("train", "eval"):
            print(f"{title:9} {phase:6}" + "".join(f"  {key} {value:.2f}" for key, value in part[phase].items()))


if __name__ == "__main__":
    main()
