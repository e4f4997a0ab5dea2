"""Reference programmings of trained networks for ``benchmarks.programmings``: drawn in several ways, measured, stored.

What is random of a programming are standard normal numbers: two for each device when it is programmed (its noise and
its exponent of drift) and one at each time it is read. They are drawn here and handed to aihwkit's noise model; the
noise of the converters at the tiles' outputs is drawn as ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time as clock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from analognas.seeds import numpy_generator, seed_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.datasets import Dataset
    from analognas.params import Params
    from analognas.search_spaces import Architecture

    Array = NDArray[Any]

#: 1 s, 1 day, 30 days.
TIMES = (1.0, 86_400.0, 2_592_000.0)
#: Programmings that a set has.
BUDGET = 6
#: How programmings are drawn, and how many of each there are for every reference.
PLANS = {"independent": 1.0, "mirrored": 0.5, "latin": 0.5, "symmetric": 0.5}
#: Networks there are.
MOST = 40
#: Programmings of one stored file: what is lost where a run ends.
CHUNK = 20
#: Shares of the images that are looked at, hardest first.
SHARES = (1.0, 0.5, 0.25, 0.125)
_SEED = 20
# Of the weights' changes: small enough that hardly a unit of a layer turns on or off.
_STEP = 1e-2
_KINDS = 2 + len(TIMES)


def draws(plan: str, number: int, sizes: Sequence[int]) -> Array:
    """Return the standard normal numbers of a programming, shape (kinds, 2, weights): positive and negative devices.

    The kinds are programming, drift, and reading at each time. ``independent`` ones are the same for the devices of
    the same place in all networks (tile by tile), ``mirrored`` ones are these with the other sign. Of ``latin`` and
    ``symmetric`` ones the ``BUDGET`` in a row form a set: for each number, each sixth of the distribution is met once
    (McKay et al., Technometrics 21, 1979); in a symmetric one each of the first three has its mirror image, too.

    Args:
        plan: of ``PLANS``.
        number: of the programming.
        sizes: weights on each tile.
    """
    if plan in ("independent", "mirrored"):
        parts = [
            numpy_generator(_SEED, "independent", number, tile).standard_normal((_KINDS, 2, size), dtype=np.float32)
            for tile, size in enumerate(sizes)
        ]
        drawn = np.concatenate(parts, axis=2)
        return -drawn if plan == "mirrored" else drawn
    return stratified(number, (_KINDS, 2, sum(sizes)), symmetric=plan == "symmetric")


def stratified(number: int, shape: tuple[int, ...], *, symmetric: bool) -> Array:
    """Return the numbers of a member of a stratified set, see ``draws``."""
    of_set, place = divmod(number, BUDGET)
    rng = numpy_generator(_SEED, "symmetric" if symmetric else "latin", of_set)
    half = BUDGET // 2
    strata = half if symmetric else BUDGET
    rank = rng.random((strata, *shape), dtype=np.float32).argsort(axis=0)[place % strata]
    within = rng.random((strata, *shape), dtype=np.float32)[place % strata]
    uniform = (rank + within.astype(np.float64)) / BUDGET
    if symmetric:
        flipped = rng.random((strata, *shape), dtype=np.float32)[place % strata] < 0.5
        uniform = np.where(flipped ^ (place >= half), 1 - uniform, uniform)
    drawn = torch.special.ndtri(torch.from_numpy(np.clip(uniform, 1e-9, 1 - 1e-9)))
    return np.asarray(drawn.numpy(), dtype=np.float32)


class Given(TorchFunctionMode):
    """Within it, ``torch.randn_like`` returns the next of the numbers that are given instead of drawing them."""

    def __init__(self, numbers: Iterator[Array]) -> None:
        super().__init__()
        self.numbers = numbers

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Return what torch would, but for the numbers that are drawn."""
        if func is torch.randn_like:
            number = torch.from_numpy(next(self.numbers))
            if number.shape != args[0].shape:
                raise ValueError(f"{tuple(args[0].shape)} numbers are drawn, and {tuple(number.shape)} are given")
            return number
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Network:
    """A trained network with what it is measured on."""

    architecture: Architecture
    analog: nn.Module
    x: Tensor
    y: Tensor
    folder: Path

    def programmed(self, plan: str, numbers: Sequence[int], look: Callable[[nn.Module, int, int], None]) -> None:
        """Program the devices with the numbers of a plan and let them age; ``look`` at the network at each time.

        It is given the network, the place among ``numbers`` and that among ``TIMES``.
        """
        from analognas.hardware import clean_state, load_clean_state
        from analognas.hardware.devices import Devices
        from analognas.hardware.evaluating import for_evaluation

        clean = clean_state(self.analog)
        devices = Devices(self.analog)
        if not devices.together:
            raise ValueError("the devices of this chip are not programmed at once: their numbers cannot be given")
        evaluated = for_evaluation(self.analog)
        try:
            for place, number in enumerate(numbers):
                drawn = iter(draws(plan, number, devices.sizes))
                seed_torch(_SEED, self.architecture.id, plan, number)
                with Given(drawn):
                    devices.program()
                for column, time in enumerate(TIMES):
                    with Given(drawn):
                        devices.drift(time)
                    look(evaluated, place, column)
        finally:
            load_clean_state(self.analog, clean)

    def margins(self, model: nn.Module) -> tuple[Array, Array]:
        """Return by how much the right class is ahead of the next, and its probability (softmax), (images,) each."""
        from analognas.training.digital import logits

        out = logits(model, self.x)
        margin, right = self._ahead(out), out.argmax(1) == self.y
        # Who is right is said by the sign, in half precision and in a tie, too.
        margin = torch.where(right, margin.clamp(min=1e-4), margin.clamp(max=-1e-4))
        return margin.numpy(), out.softmax(1).gather(1, self.y[:, None])[:, 0].numpy()

    def _ahead(self, out: Tensor) -> Tensor:
        others = out.scatter(1, self.y[:, None], -torch.inf).amax(1)
        return out.gather(1, self.y[:, None])[:, 0] - others

    def measure(self, plan: str, first: int) -> None:
        """Measure and store a chunk of programmings, unless it is there."""
        file = self._file(plan, first)
        if file.is_file():
            return
        numbers = range(first, first + CHUNK)
        margin, probability = (np.empty((len(numbers), len(TIMES), len(self.x)), np.float16) for _ in range(2))

        def look(model: nn.Module, place: int, column: int) -> None:
            margin[place, column], probability[place, column] = self.margins(model)

        self.programmed(plan, numbers, look)
        keep(file, margin=margin, probability=probability)

    def stored(self, plan: str, references: int) -> tuple[Array, Array]:
        """Return margins and probabilities of the programmings of a plan, (programmings, times, images) each."""
        chunks = []
        for first in chunks_of(plan, references):
            with np.load(self._file(plan, first), allow_pickle=False) as parts:
                chunks.append((parts["margin"].astype(np.float32), parts["probability"].astype(np.float32)))
        margin, probability = (np.concatenate(part) for part in zip(*chunks, strict=True))
        return margin, probability

    def clean_margins(self) -> Array:
        """Return the margins before any programming, (images,)."""
        seed_torch(_SEED, self.architecture.id, "clean")
        return self.margins(self.analog)[0]

    def linear(self, references: int) -> Array:
        """Return the margins of the independent programmings if outputs were linear in the weights, as ``stored``.

        Outputs are those of the network without converters and noise, moved by the weights' changes times the
        derivatives at the clean weights: central differences.
        """
        file = self.folder / f"linear-{references}.npz"
        if not file.is_file():
            keep(file, margin=self._linear(references).astype(np.float32))
        with np.load(file, allow_pickle=False) as parts:
            return np.asarray(parts["margin"])

    def _linear(self, references: int) -> Array:
        from analognas.hardware.analog import analog_layers, partly_digital
        from analognas.training.digital import logits

        layers = dict(analog_layers(self.analog))
        exact = partly_digital(self.analog, list(layers))
        own = [exact.get_submodule(name) for name in layers]
        clean = [layer.weight.detach().clone() for layer in own]
        margins = np.empty((references, len(TIMES), len(self.x)))

        @torch.no_grad()
        def outputs(changes: list[Tensor], step: float) -> Tensor:
            for layer, weight, change in zip(own, clean, changes, strict=True):
                layer.weight.copy_(weight + step * change)  # type: ignore[operator]
            return logits(exact, self.x)

        def look(_model: nn.Module, place: int, column: int) -> None:
            for layer in layers.values():
                for tile in layer.analog_tiles():
                    tile.tile.weight.data = tile.tile.weight.data * tile.alpha
            aged = [layer.get_weights()[0] for layer in layers.values()]
            changes = [weight.view_as(was) - was for weight, was in zip(aged, clean, strict=True)]
            slope = (outputs(changes, _STEP) - outputs(changes, -_STEP)) / (2 * _STEP)
            margins[place, column] = self._ahead(base + slope).numpy()

        base = logits(exact, self.x)
        self.programmed("independent", range(references), look)
        return margins

    def seconds(self) -> Array:
        """Return processor seconds of a programming with its drifts, and of looking at shares (``SHARES``) of images.

        Shape (1 + shares,), the least of some rounds; the second to last are for all three times.
        """
        file = self.folder / "seconds.npz"
        if not file.is_file():
            keep(file, seconds=self._seconds())
        with np.load(file, allow_pickle=False) as parts:
            return np.asarray(parts["seconds"])

    def _seconds(self, rounds: int = 15) -> Array:
        from analognas.training.digital import logits

        spent = np.full((rounds, 1 + len(SHARES)), np.inf)
        start = [0.0]

        def look(model: nn.Module, place: int, column: int) -> None:
            if column < len(TIMES) - 1:
                return
            spent[place, 0] = clock() - start[0]
            for number, share in enumerate(SHARES):
                x = self.x[: max(1, round(share * len(self.x)))]
                begin = clock()
                logits(model, x)
                spent[place, 1 + number] = len(TIMES) * (clock() - begin)
            start[0] = clock()

        # Numbers that are drawn before they are wanted: drawing them is the same for all.
        self.programmed("independent", [0] * rounds, look)
        return np.asarray(spent[1:].min(axis=0))

    def complete(self, references: int) -> bool:
        """Return whether all programmings are stored."""
        return all(self._file(plan, first).is_file() for plan in PLANS for first in chunks_of(plan, references))

    def _file(self, plan: str, first: int) -> Path:
        return self.folder / f"{plan}-{first:03d}.npz"


def chunks_of(plan: str, references: int) -> range:
    """Return the first programmings of the stored files of a plan."""
    return range(0, -(-int(PLANS[plan] * references) // CHUNK) * CHUNK, CHUNK)


def networks(count: int, folder: Path, *, only_known: bool = False) -> Iterator[Network]:
    """Yield small networks for the digits, each trained as the product does, or taken from ``folder``.

    One whose training diverges, which rounding decides, so another processor's may not, is left out and named.
    """
    from analognas.datasets import load
    from analognas.params import Params
    from analognas.search_spaces import ConfigSpace
    from analognas.training.digital import DivergedError

    space = ConfigSpace("digits", max_params=5_000, ranges={"M": [1, 2], "R": [1, 2]})
    dataset, params = load("digits"), Params()
    for architecture in space.sample(MOST, seed=_SEED)[:count]:
        if only_known and not (folder / architecture.id / "network.npz").is_file():
            continue
        try:
            network = trained(architecture, dataset, params, folder)
        except DivergedError as error:
            print(f"{architecture.id} is left out: {error}", file=sys.stderr)
        else:
            yield network


def trained(architecture: Architecture, dataset: Dataset, params: Params, folder: Path) -> Network:
    """Return a network as the product trains it, from ``folder`` if it is there."""
    from analognas.hardware import clean_state, convert, load_clean_state
    from analognas.hardware.rpu_config import rpu_config
    from analognas.training.protocol import train

    own = folder / architecture.id
    file = own / "network.npz"
    x, y = dataset.tensors("validation")
    if not file.is_file():
        own.mkdir(parents=True, exist_ok=True)
        made = train(architecture, dataset, params.hardware, params.characterize, seed=params.base.seed)
        keep(file, **{name: tensor.numpy() for name, tensor in clean_state(made.analog).items()})
    analog = convert(architecture.build(), rpu_config(params.hardware))
    with np.load(file, allow_pickle=False) as state:
        load_clean_state(analog, {name: torch.from_numpy(state[name]) for name in state.files})
    return Network(architecture, analog.eval(), x, y, own)


def keep(file: Path, **arrays: Array) -> None:
    """Write arrays beside their place and rename them over it."""
    beside = file.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as target:
        np.savez(target, **arrays)  # type: ignore[arg-type]
    beside.replace(file)
