"""Accuracy of programmed devices as they drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.causes import quoted
from analognas.errors import HardwareError
from analognas.hardware.analog import clean_state, load_clean_state, require_clean
from analognas.hardware.devices import Devices
from analognas.hardware.evaluating import for_evaluation
from analognas.progress import Progress
from analognas.seeds import seed_torch
from analognas.training.digital import correct, logits

Made = TypeVar("Made")


def outcomes(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    times: Sequence[float],
    repeats: int,
    seed: int,
    progress: Progress | None = None,
) -> NDArray[np.bool_]:
    """Return which images are classified rightly after each time, (repeats, times, N).

    A repeat programs the clean weights once (programming noise and drift exponents are drawn anew) and drifts
    these same devices to each time, in increasing order; aihwkit counts from the end of programming. Nothing is
    scored between programming and the first drift, where the compensation factor is still the one of the
    previous repeat. Every repeat, and every time in it, has its own seed: neither the number of repeats nor the
    other times change a value. The model is clean again afterwards.

    Args:
        model: converted and trained network with clean weights.
        x: images (N, C, H, W).
        y: classes (N,).
        times: seconds after programming.
        repeats: how often the weights are programmed.
        seed: of all that is drawn.
        progress: called after each repeat.

    Raises:
        HardwareError: if the model is programmed already, or the device's model knows no such time.
    """
    result = np.empty((repeats, len(times), len(x)), dtype=np.bool_)

    def score(evaluated: nn.Module, repeat: int, column: int) -> None:
        result[repeat, column] = correct(evaluated, x, y).numpy(force=True)

    _each(model, score, times, repeats, seed, progress)
    return result


def measure(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    times: Sequence[float],
    repeats: int,
    seed: int,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the accuracy after each time, percent, (repeats, times): the mean of ``outcomes`` over the images."""
    return percent(outcomes(model, x, y, times=times, repeats=repeats, seed=seed, progress=progress))


def outputs(model: nn.Module, x: Tensor, *, time: float, repeats: int, seed: int) -> NDArray[np.float32]:
    """Return what the devices of each repeat make of images after a time, before softmax, (repeats, N, classes).

    Of the same images, seed and time these are the devices and outputs behind ``outcomes``.

    Args:
        model: converted and trained network with clean weights.
        x: images (N, C, H, W), at least one.
        time: seconds after programming.
        repeats: how often the weights are programmed.
        seed: of all that is drawn.

    Raises:
        HardwareError: if the model is programmed already, or the device's model knows no such time.
    """
    result: list[NDArray[np.float32]] = []

    def score(evaluated: nn.Module, _repeat: int, _column: int) -> None:
        result.append(logits(evaluated, x).numpy(force=True))

    _each(model, score, (time,), repeats, seed, None)
    return np.stack(result)


def aged(model: nn.Module, make: Callable[[], Made], *, time: float, seed: int) -> Made:
    """Return what ``make`` makes while the model has the devices of the first repeat at an age; see ``outputs``."""
    made: list[Made] = []
    _each(model, lambda *_: made.append(make()), (time,), 1, seed, None)
    return made[0]


def percent(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the accuracies behind ``outcomes``, percent, (repeats, times)."""
    accuracy: NDArray[np.float64] = 100.0 * right.sum(axis=2) / right.shape[2]
    return accuracy


def _each(
    model: nn.Module,
    score: Callable[[nn.Module, int, int], None],
    times: Sequence[float],
    repeats: int,
    seed: int,
    progress: Progress | None,
) -> None:
    """Program and drift; call ``score`` with the network to evaluate, the repeat and the index of the time."""
    require_clean(model, "measure the drift of")
    clean = clean_state(model)
    device = next(model.parameters()).device
    cuda = [device.index or 0] if device.type == "cuda" else []
    model.eval()
    devices = Devices(model)
    evaluated = for_evaluation(model)
    try:
        with torch.random.fork_rng(devices=cuda):
            for repeat in range(repeats):
                seed_torch(seed, "repeat", repeat, "program")
                devices.program()
                for column in np.argsort(times, kind="stable"):
                    time = float(times[column])
                    seed_torch(seed, "repeat", repeat, "drift", repr(time))
                    _drift(devices, time)
                    score(evaluated, repeat, int(column))
                if progress:
                    progress(repeat + 1, repeats, "drift")
    finally:
        load_clean_state(model, clean)


def _drift(devices: Devices, seconds: float) -> None:
    from aihwkit.exceptions import AihwkitException

    try:
        devices.drift(seconds)
    except AihwkitException as error:
        device = next(type(tile.rpu_config.noise_model).__name__ for tile in devices.tiles)
        raise HardwareError(
            f"The noise model {device} cannot drift to {seconds:g} s (aihwkit says {quoted(error)}): change the times "
            "of the protocol."
        ) from error
