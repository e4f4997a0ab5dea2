"""Digital training: stochastic gradient descent with a fixed number of epochs, the last one kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analognas.hardware.analog import trained_tensors
from analognas.progress import Progress
from analognas.seeds import numpy_generator
from analognas.training import augmentation
from analognas.training.flat_sgd import FlatSGD, one_cycle
from analognas.training.trunk import planned, release

#: Called with what the network makes of a batch (N, classes), its images as they were seen, and their numbers (N,).
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

MOMENTUM = 0.9

#: Pixels in one evaluation pass: 2,048 images of 8x8, 128 of 32x32. With fewer the calls take longer than the work.
#: Part of the protocol, because the order in which the noise of the simulated converters is drawn depends on it.
EVALUATION_PIXELS = 1 << 17


class DivergedError(Exception):
    """A training ended in numbers that are not finite; the message says where. Never leaves this package."""


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    augment: Sequence[str] = (),
    progress: Progress | None = None,
) -> None:
    """Train a digital network in place and leave it in evaluation mode.

    Cross-entropy, SGD with Nesterov momentum 0.9, and the one-cycle schedule (Smith & Topin, arXiv 1708.07120;
    ``learning_rate`` is its peak): with a dozen epochs it comes closer to convergence than steps or a plain
    cosine. No label smoothing, no choice of an epoch.

    Args:
        model: network that maps (N, C, H, W) to (N, classes).
        x: images (N, C, H, W), float.
        y: classes (N,), integers.
        epochs: passes over the images.
        batch_size: most images in one step; an epoch's batches differ by at most one image.
        learning_rate: peak of the schedule.
        weight_decay: L2 penalty on all parameters.
        seed: of the order of the images and of their augmentation.
        augment: what happens to them, see ``augmentation.augment``.
        progress: called after each epoch.

    Raises:
        DivergedError: if the loss is not finite.
    """
    steps = epochs * steps_per_epoch(len(x), batch_size)
    steps = max(steps, 2)  # a single step has no cycle, and the schedule divides by zero there
    parameters = list(model.parameters())
    optimizer: FlatSGD | torch.optim.SGD
    schedule = None
    if FlatSGD.suits(parameters):
        optimizer = FlatSGD(parameters, one_cycle(learning_rate, steps), weight_decay=weight_decay)
    else:
        optimizer = torch.optim.SGD(
            parameters, lr=learning_rate, momentum=MOMENTUM, nesterov=True, weight_decay=weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    try:
        run_epochs(
            model, x, labels(y), optimizer, schedule,
            epochs=epochs, batch_size=batch_size, seed=seed, augment=augment, progress=progress, name="digital",
        )  # fmt: skip
    finally:
        if isinstance(optimizer, FlatSGD):
            optimizer.release()


def labels(y: Tensor) -> Loss:
    """Return the cross-entropy with the classes (N,) of all images."""
    return lambda outputs, images, index: cross_entropy(outputs, y[index])


def run_epochs(
    model: nn.Module,
    x: Tensor,
    loss_of: Loss,
    optimizer: FlatSGD | torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    augment: Sequence[str],
    progress: Progress | None,
    name: str,
    begin_step: Callable[[], None] | None = None,
) -> None:
    """Run the epochs of a training, digital or hardware-aware, and leave the model in evaluation mode.

    ``loss_of`` is what it minimises; the other arguments are those of ``train``.

    Raises:
        DivergedError: if the loss of a step, or a weight at the end, is not finite.
    """
    model.train()
    network = planned(model)
    for epoch in range(epochs):
        draws = numpy_generator(seed, "augment", epoch)
        for batch in batches(len(x), batch_size, derive=(seed, epoch)):
            index = batch.to(x.device)
            optimizer.zero_grad()
            if begin_step is not None:
                begin_step()
            images = augmentation.augment(x[index], augment, draws)
            loss = loss_of(network(images), images, index)
            if not math.isfinite(loss.item()):
                raise DivergedError(f"loss is {loss.item()} in epoch {epoch + 1} of {epochs}")
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if schedule is not None:
                schedule.step()
        if progress:
            progress(epoch + 1, epochs, name)
    release(network)
    model.eval()
    for name, tensor in trained_tensors(model):
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DivergedError(f"{name} is not finite after {epochs} epochs")


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return how many batches one epoch has."""
    return -(-images // batch_size)


def batches(images: int, batch_size: int, derive: tuple[int, int]) -> Iterator[Tensor]:
    """Yield the indices of an epoch's batches, shuffled by ``derive`` = (seed, epoch).

    The sizes differ by at most one: a small last batch would spoil the statistics of batch-norm, which cannot
    take a single value at all.
    """
    seed, epoch = derive
    order = torch.from_numpy(numpy_generator(seed, "shuffle", epoch).permutation(images))
    yield from torch.tensor_split(order, steps_per_epoch(images, batch_size))


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy of a model in evaluation mode, percent.

    Args:
        model: network that maps (N, C, H, W) to (N, classes).
        x: images (N, C, H, W).
        y: classes (N,).
    """
    return 100.0 * int(correct(model, x, y).sum()) / len(x)


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return whether each image is classified rightly by a model in evaluation mode, (N,); see ``accuracy``."""
    return logits(model, x).argmax(1) == y


@torch.no_grad()
def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Return what a model in evaluation mode makes of images (N, C, H, W), in batches: (N, classes), before softmax."""
    if model.training:
        model.eval()
    batch = max(1, EVALUATION_PIXELS // x[0, 0].numel())
    return torch.cat([model(x[start : start + batch]) for start in range(0, len(x), batch)])
