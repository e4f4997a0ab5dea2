"""What happens to the images of a batch while a network is trained, so that it does not learn them by heart.

Every image is drawn for on its own, but a batch is changed at once. The draws come from NumPy on the CPU, so they are
the same on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

#: An image is moved by at most this share of its side (4 of 32 pixels), what comes in is zero, the mean of the data.
CROP_SHARE = 1 / 8
#: The side of the square that is blanked, as a share of the image's (16 of 32 pixels; DeVries, arXiv 1708.04552).
CUTOUT_SHARE = 1 / 2
#: A recording is moved by at most this share of its length (0.1 of a second), what comes in repeats its edge.
SHIFT_SHARE = 1 / 10
#: Largest standard deviation of the noise that is added, in those of the data.
NOISE = 0.25


def augment(x: Tensor, names: Sequence[str], generator: np.random.Generator) -> Tensor:
    """Return a changed copy of a batch; with no names, the batch itself.

    Args:
        x: normalized images (N, C, H, W); of a recording, H is time.
        names: ``crop`` (moved up, down, left, right), ``flip`` (mirrored left to right, half of them), ``cutout`` (a
            square blanked), ``shift`` (moved in time), ``noise`` (added); in the order in which they happen.
        generator: of the draws.

    Raises:
        KeyError: for an unknown name.
    """
    for name in names:
        x = _AUGMENTATIONS[name](x, generator)
    return x


def crop(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Move every image by its own offset, as if it were padded with zeros and cropped again."""
    height, width = (round(side * CROP_SHARE) for side in x.shape[2:])
    padded = nn.functional.pad(x, (width, width, height, height))
    rows = _offsets(x, 2 * height, 2, generator)
    columns = _offsets(x, 2 * width, 3, generator)
    images = torch.arange(len(x), device=x.device)[:, None, None, None]
    channels = torch.arange(x.shape[1], device=x.device)[:, None, None]
    return padded[images, channels, rows[:, None, :, None], columns[:, None, None, :]]


def flip(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Mirror every image left to right, or not, with even odds."""
    chosen = torch.from_numpy(generator.random(len(x)) < 0.5).to(x.device)
    return torch.where(chosen[:, None, None, None], x.flip(3), x)


def cutout(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Set a square of every image to zero; its centre is anywhere, so it may stand out over the edge."""
    inside = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=x.device)
    for axis in (2, 3):
        side = x.shape[axis]
        length = max(1, round(side * CUTOUT_SHARE))
        start = torch.from_numpy(generator.integers(0, side, len(x)) - length // 2).to(x.device)[:, None]
        place = torch.arange(side, device=x.device)[None]
        within = (place >= start) & (place < start + length)
        inside = inside & (within[:, None, :, None] if axis == 2 else within[:, None, None, :])
    return x.masked_fill(inside, 0.0)


def shift(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Move every recording in time (the rows of its image)."""
    frames = x.shape[2]
    most = round(frames * SHIFT_SHARE)
    rows = (_offsets(x, 2 * most, 2, generator) - most).clamp(0, frames - 1)
    return x.gather(2, rows[:, None, :, None].expand(x.shape))


def noise(x: Tensor, generator: np.random.Generator) -> Tensor:
    """Add normal noise, of another strength in every image."""
    strength = generator.random((len(x), 1, 1, 1), dtype=np.float32) * np.float32(NOISE)
    return x + torch.from_numpy(generator.standard_normal(x.shape, dtype=np.float32) * strength).to(x.device)


def _offsets(x: Tensor, most: int, axis: int, generator: np.random.Generator) -> Tensor:
    """Return the indices along an axis for every image, (N, size), from a start of 0 to ``most``."""
    starts = torch.from_numpy(generator.integers(0, most + 1, len(x))).to(x.device)
    return starts[:, None] + torch.arange(x.shape[axis], device=x.device)[None]


_AUGMENTATIONS: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "crop": crop,
    "flip": flip,
    "cutout": cutout,
    "shift": shift,
    "noise": noise,
}
