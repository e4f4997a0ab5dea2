"""Hardware-aware training: fine-tuning on noisy analog tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from analognas.hardware.analog import require_clean, tiles
from analognas.progress import Progress
from analognas.training.digital import MOMENTUM, Loss, labels, logits, run_epochs, steps_per_epoch
from analognas.training.flat_sgd import FlatSGD, falling


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    augment: Sequence[str] = (),
    progress: Progress | None = None,
    teacher: nn.Module | None = None,
    temperature: float = 4.0,
) -> None:
    """Fine-tune a converted network in place and leave it in evaluation mode.

    SGD with Nesterov momentum 0.9 and a cosine that ends at zero, without weight decay: the injected noise
    regularizes. After each step weights are clipped and remapped as each tile's ``post_update_step`` does, which
    torch's own optimizers never call. Draws noise from torch's global generator. Batch-norm statistics are trained
    too; they are frozen by the evaluation mode afterwards.

    Args:
        model: from ``analognas.hardware.convert``.
        x: images (N, C, H, W), float.
        y: classes (N,), integers.
        epochs: passes over the images.
        batch_size: most images in one step.
        learning_rate: first value of the cosine.
        seed: of the order of the images and of their augmentation.
        augment: what happens to them, see ``augmentation.augment``.
        progress: called after each epoch.
        teacher: the digital network, in evaluation mode, which teaches it beside the labels (``taught``); None: the
            labels alone do.
        temperature: of what it teaches, at least 1.

    Raises:
        DivergedError: if the loss is not finite.
        HardwareError: if the model is programmed.
    """
    require_clean(model, "train")
    steps = epochs * steps_per_epoch(len(x), batch_size)
    loss_of = labels(y) if teacher is None else taught(teacher, x, y, temperature, constant=not augment)
    with stepping(model, learning_rate, steps) as (optimizer, schedule, begin_step):
        run_epochs(
            model, x, loss_of, optimizer, schedule,
            epochs=epochs, batch_size=batch_size, seed=seed, augment=augment, progress=progress, name="hardware-aware",
            begin_step=begin_step,
        )  # fmt: skip


#: Share of what the teacher says in the loss; the rest is the labels'.
TAUGHT = 0.7


def taught(teacher: nn.Module, x: Tensor, y: Tensor, temperature: float, *, constant: bool) -> Loss:
    """Return the loss by which a digital network teaches its noisy copy (Hinton et al., arXiv 1503.02531).

    ``TAUGHT * T**2`` times the cross-entropy with the teacher's softmax at temperature T, plus ``1 - TAUGHT`` times
    that with the labels. Soft classes say how sure the network is: what noise does to its outputs is then felt on every
    image, not on those alone that are classified wrongly (Zhou et al., Noisy Machines, arXiv 2001.04974).

    Args:
        teacher: in evaluation mode.
        x: all images (N, C, H, W).
        y: their classes (N,).
        temperature: T.
        constant: whether images are always seen as they are: then the teacher is asked once, otherwise in every step.
    """
    every = logits(teacher, x) if constant else None

    def loss(outputs: Tensor, images: Tensor, index: Tensor) -> Tensor:
        with torch.no_grad():
            soft = softmax((teacher(images) if every is None else every[index]) / temperature, dim=1)
        learned = temperature**2 * cross_entropy(outputs / temperature, soft)
        return TAUGHT * learned + (1 - TAUGHT) * cross_entropy(outputs, y[index])

    return loss


@contextmanager
def stepping(
    model: nn.Module, learning_rate: float, steps: int
) -> Iterator[tuple[Any, torch.optim.lr_scheduler.LRScheduler | None, Callable[[], None] | None]]:
    """Give optimizer, schedule, and what is to be called before each step: for all tiles at once where that can be."""
    from aihwkit.optim import AnalogSGD
    from aihwkit.optim.context import AnalogContext

    from analognas.hardware.tiles_together import TilesTogether

    if not (TilesTogether.apply_to(model) and FlatSGD.suits(model.parameters())):
        optimizer = AnalogSGD(model.parameters(), lr=learning_rate, momentum=MOMENTUM, nesterov=True)
        optimizer.regroup_param_groups(model)
        yield optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), None
        return
    together = TilesTogether(model)
    apart = {id(weight) for weight in together.parameters}
    apart |= {id(tile.input_range_update_idx) for _, tile in tiles(model) if tile.input_range is not None}
    others = [
        parameter
        for parameter in model.parameters()
        if id(parameter) not in apart and not isinstance(parameter, AnalogContext)
    ]
    flat = FlatSGD(
        [*together.parameters, *others],
        falling(learning_rate, MOMENTUM, steps),
        before=together.scale_gradients,
        after=together.updated,
    )
    together.begin(flat.values)
    try:
        yield flat, None, together.modify
    finally:
        flat.release()
        together.end()


def limit_input_range_initialization(model: nn.Module, steps: int) -> None:
    """Let the input ranges follow the data in the first quarter of ``steps`` at most, then be learned.

    aihwkit counts batches: with its setting alone, a short training would be over before the ranges are learned.
    ``analognas.training.protocol`` asks for it for the presets of the library; a chip of the user's own is trained as
    its configuration says.
    """
    for _, tile in tiles(model):
        pre_post = getattr(tile.rpu_config, "pre_post", None)
        if pre_post is not None and pre_post.input_range.enable:
            parameters = pre_post.input_range
            parameters.init_from_data = min(parameters.init_from_data, max(1, steps // 4))


@torch.no_grad()
def calibrate(model: nn.Module, x: Tensor, batch_size: int) -> None:
    """Let the input ranges follow the data, as the first batches of a training would; no weight is changed.

    For a network that is not trained on its tiles: their ranges would stay what aihwkit begins with, whatever comes in.
    Each image is looked at once at most. Leaves the model in evaluation mode.

    Args:
        model: from ``analognas.hardware.convert``.
        x: training images (N, C, H, W).
        batch_size: images in one step.

    Raises:
        HardwareError: if the model is programmed.
    """
    require_clean(model, "calibrate")
    model.eval()  # batch-norm keeps its statistics
    of_network = [tile for _, tile in tiles(model)]
    most = max(_batches_of_ranges(tile.rpu_config) for tile in of_network)
    for tile in of_network:
        tile.train()
    for start in range(0, min(len(x), most * batch_size), batch_size):
        model(x[start : start + batch_size])
    model.eval()


def _batches_of_ranges(config: Any) -> int:
    """Return in how many batches the input ranges of a configuration follow the data."""
    pre_post = getattr(config, "pre_post", None)
    return pre_post.input_range.init_from_data if pre_post is not None and pre_post.input_range.enable else 0
