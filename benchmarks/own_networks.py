"""Networks that nobody wrote for this library, measured as `analognas measure` does: what works, what is slow.

Thirteen networks (`benchmarks._networks`: torchvision's, and the four of MLPerf Tiny by their description) classify six
kinds of drawn textures, 3x32x32, in a workspace of their own, with little training. Reported of each: what is said of
it, parameters, tiles, accuracy before and after a day and a month on the chip, and the seconds of it all; or why it is
refused.

`--ratio` instead compares one training step and one evaluation of depthwise separable blocks on tiles with plain
PyTorch, in one interleaved run, by the time of the processor. The step is that of the hardware-aware training;
evaluated is the network itself and, joined, in the form in which networks are measured.

    python -m benchmarks.own_networks --networks resnet8 ds_cnn --json
    python -m benchmarks.own_networks --ratio
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._networks import NETWORKS
from benchmarks._timing import fix_process, machine, medians

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.workspace import Paths

CLASSES = ("stripes", "checks", "rings", "dots", "waves", "clouds")
SIZE = 32
_CHANNELS, _BATCH = 64, 64


def textures(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return drawn images (count, 3, 32, 32) of six kinds of textures, and their kinds, (count,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % len(CLASSES)
    images = np.empty((count, 3, SIZE, SIZE), dtype=np.uint8)
    for image, kind in zip(images, y, strict=True):
        pattern = _pattern(CLASSES[kind], rng)
        dark, bright = rng.uniform(0, 110, (3, 1, 1)), rng.uniform(145, 255, (3, 1, 1))
        image[:] = np.clip(dark + (bright - dark) * pattern + rng.normal(0, 20, (3, SIZE, SIZE)), 0, 255)
    return images, y


def _pattern(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how much of the second colour each pixel has, 0 to 1, (32, 32)."""
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(5, 11), rng.uniform(0, 2 * np.pi, 2)
    down, across = np.mgrid[:SIZE, :SIZE] - rng.uniform(0, SIZE, 2)[:, None, None]
    along = np.cos(angle) * across + np.sin(angle) * down
    beside = np.cos(angle) * down - np.sin(angle) * across
    turns = 2 * np.pi / period
    wave = {
        "stripes": lambda: np.sin(turns * along + phase[0]),
        "checks": lambda: np.sin(turns * along + phase[0]) * np.sin(turns * beside + phase[1]),
        "rings": lambda: np.sin(turns * np.hypot(down, across) + phase[0]),
        "dots": lambda: np.cos(turns * along) + np.cos(turns * beside) - 1.2,
        "waves": lambda: np.sin(turns * (along + 3 * np.sin(turns * beside / 2)) + phase[0]),
        "clouds": lambda: np.kron(rng.normal(0, 1, (8, 8)), np.ones((4, 4))),
    }[kind]()
    return (wave > 0).astype(float)


def make(folder: Path, images: int, epochs: int, repeats: int) -> Paths:
    """Return a new workspace with so many drawn images and little training."""
    from analognas.params.overrides import parse
    from analognas.setup.preparing import prepare
    from analognas.setup.template import source
    from analognas.workspace import Paths

    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(source() / name, folder / name)
    x, y = textures(images)
    np.savez(folder / "textures.npz", x=x, y=y, class_names=np.array(CLASSES))
    paths = Paths(folder)
    prepare(
        paths,
        parse([
            "dataset.name=arrays", "dataset.path=textures.npz", f"train.epochs={epochs}", "train.learning_rate=0.05",
            "train.batch_size=32", f"train.hwa_epochs={max(1, epochs // 3)}", "train.hwa_learning_rate=0.005",
            f"train.repeats={repeats}",
            "train.times=[1, 86400, 2592000]",
        ]),
    )  # fmt: skip
    return paths


def measure(paths: Paths, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each network with its figures, or with why it is refused."""
    from analognas.errors import AnalogNASError
    from analognas.params import Params
    from analognas.stages.measuring import Asked
    from analognas.stages.measuring import measure as measured

    params = Params.load(paths.params)
    for name in names:
        began = time.process_time()
        try:
            stored = measured(Asked(f"benchmarks._networks:{name}"), params, paths)
        except AnalogNASError as error:
            yield name, {"refused": str(error)}
            continue
        columns = ("params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "acc_30d", "avm")
        figures = {column: stored.figures[column] for column in columns}  # type: ignore[literal-required]
        yield name, {**figures, "seconds": time.process_time() - began, "notes": stored.notes}


def ratio(rounds: int) -> dict[str, Any]:
    """Return how long depthwise separable blocks take on tiles, as multiples of plain PyTorch, and milliseconds."""
    import torch
    from torch import nn

    from analognas.hardware import convert
    from analognas.hardware.evaluating import for_evaluation
    from analognas.hardware.rpu_config import rpu_config
    from analognas.params import HardwareParams
    from analognas.training.hardware_aware import stepping
    from benchmarks._networks import separable

    torch.manual_seed(0)
    network = nn.Sequential(*separable(_CHANNELS, _CHANNELS, 1), *separable(_CHANNELS, _CHANNELS, 1))
    config = rpu_config(HardwareParams())
    config.pre_post.input_range.init_from_data = 2
    analog = convert(network, config)
    x = torch.randn(_BATCH, _CHANNELS, 16, 16)
    plain = torch.optim.SGD(network.parameters(), lr=1e-4)

    def passes(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            model.zero_grad()
            model(x).square().mean().backward()

        return run

    def step(model: nn.Module, with_: Any, begin: Callable[[], None] | None = None) -> Callable[[], None]:
        def run() -> None:
            with_.zero_grad()
            if begin is not None:
                begin()
            model(x).square().mean().backward()
            with_.step()

        return run

    def evaluation(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                model(x)

        return run

    told: dict[str, Any] = {}

    def compare(name: str, variants: dict[str, Callable[[], None]]) -> None:
        for model in (network, analog):
            model.train("evaluation" not in name)
        seconds = medians(variants, rounds, warm_up=4, clock=time.process_time)
        told[name] = {"ratio": round(seconds["tiles"] / seconds["plain"], 2)} | {
            f"{key}_ms": round(1000 * value, 1) for key, value in seconds.items()
        }

    compare("forward and backward", {"plain": passes(network), "tiles": passes(analog)})
    with stepping(analog, 1e-4, rounds + 4) as (optimizer, _, begin):
        compare("step", {"plain": step(network, plain), "tiles": step(analog, optimizer, begin)})
    compare("evaluation", {"plain": evaluation(network), "tiles": evaluation(analog)})
    joined = for_evaluation(analog.eval())
    compare("evaluation, joined", {"plain": evaluation(network), "tiles": evaluation(joined)})
    return told


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--images", type=int, default=480, help="drawn images, of which 60 % are for training")
    parser.add_argument("--epochs", type=int, default=12, help="digital epochs; a third of them on tiles")
    parser.add_argument("--repeats", type=int, default=5, help="programmings")
    parser.add_argument("--ratio", action="store_true", help="time depthwise blocks against plain PyTorch instead")
    parser.add_argument("--rounds", type=int, default=9, help="timed rounds of --ratio")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if arguments.ratio:
        fix_process(1)
        told = ratio(arguments.rounds) | {"machine": machine()}
        print(json.dumps(told, indent=None if arguments.json else 2))
        return
    told = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = make(Path(folder), arguments.images, arguments.epochs, arguments.repeats)
        for name, figures in measure(paths, arguments.networks):
            told[name] = figures
            if not arguments.json:
                print(_line(name, figures), flush=True)
    if arguments.json:
        print(json.dumps(told))


def _line(name: str, figures: dict[str, Any]) -> str:
    """Return a network as a row of a table in Markdown."""
    if "refused" in figures:
        return f"| {name} | {figures['refused']} |"
    told = [f"{figures['params']:,}", f"{figures['tiles']:,}"]
    told += [f"{figures[column]:.1f}" for column in ("acc_digital", "acc_1d", "acc_30d", "avm")]
    return f"| {name} | {' | '.join(told)} | {figures['seconds']:.0f} |"


if __name__ == "__main__":
    main()
