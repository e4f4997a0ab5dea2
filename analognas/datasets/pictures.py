"""What image files were before they became one array: sizes, bits, orientation; and what of it a user must know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analognas.datasets.base import Integers
from analognas.datasets.images import Picture
from analognas.errors import DatasetError

_SQUEEZED = 1.05
"""Ratio of aspect ratios from which a picture counts as squeezed."""
_BYTE = 255
_FEW = 64
"""Fewer levels than so many of 256 are said: values that use a quarter of their bits, or less."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """One row for each image, int64 (N, 6): width, height, turned, peak of more than 8 bits (-1: none), as bytes,
    transparent."""

    facts: Integers

    @classmethod
    def empty(cls, count: int) -> Pictures:
        """Return rows to be filled by ``put``."""
        return cls(np.zeros((count, 6), dtype=np.int64))

    def put(self, index: int, picture: Picture) -> None:
        """Keep what is known of one image file."""
        peak = -1 if picture.peak is None else picture.peak
        self.facts[index] = (*picture.size, picture.turned, peak, picture.as_bytes, picture.transparent)

    def refuse_collapsed(self, root: Path) -> None:
        """Refuse images of more than 8 bits of which nothing would be left; raises DatasetError."""
        peaks, as_bytes = self._peaks(), int(self.facts[:, 4].sum())
        if len(peaks) and peaks.max() <= _BYTE:
            raise DatasetError(
                f"{root}: {len(peaks):,} images of 16 bits hold no value above {_BYTE}, and as the upper byte is "
                "taken, all of them would be black: save them with 8 bits, or with values up to 65,535."
            )
        if len(peaks) and as_bytes:
            raise DatasetError(
                f"{root}: {as_bytes:,} images of 32 bits hold values up to {_BYTE}, {len(peaks):,} others up to "
                f"{peaks.max():,}, so they are not on one scale: save all with 8 bits, or all with values up to 65,535."
            )

    def doubts(self, shape: Sequence[int], *, chosen: bool) -> list[str]:
        """Return what may be a mistake: few levels, and a size that nobody chose for images of several."""
        peaks = self._peaks()
        doubts = []
        if len(peaks) and (peaks.max() >> 8) + 1 <= _FEW:
            doubts.append(
                f"{len(peaks):,} images of 16 bits hold values up to {peaks.max():,}, of which "
                f"{(peaks.max() >> 8) + 1} levels of 256 are left; scale them to 65,535"
            )
        if len(self._sizes()) > 1 and not chosen:
            doubts.append(f"{self.resized(shape)}; dataset.image_size chooses another size")
        return doubts

    def notes(self) -> list[str]:
        """Return what else was done to them."""
        turned, transparent = (int(self.facts[:, column].sum()) for column in (2, 5))
        notes = []
        if turned:
            notes.append(f"turned upright: {turned:,} of the images, as their EXIF, XMP or TIFF tags say")
        if transparent:
            notes.append(f"put on white: {transparent:,} of the images, which are transparent in places")
        return notes

    def resized(self, shape: Sequence[int]) -> str:
        """Return a phrase that says which sizes there were and what became of them; ``shape`` is (height, width)."""
        sizes = self._sizes()
        height, width = shape
        least, greatest = (f"{size[0]}x{size[1]}" for size in (sizes[0], sizes[-1]))
        were = f"{len(sizes)} sizes from {least} to {greatest}" if len(sizes) > 1 else f"all are {least}"
        if sizes == [(width, height)]:
            return were
        aspect = self.facts[:, 0] / self.facts[:, 1] * (height / width)
        squeezed = np.count_nonzero(np.maximum(aspect, 1 / aspect) > _SQUEEZED)
        return f"{were}, resized to {width}x{height}" + (f", {squeezed:,} of them squeezed" if squeezed else "")

    def _sizes(self) -> list[tuple[int, int]]:
        """Return the different (width, height), by area."""
        unique = np.unique(self.facts[:, :2], axis=0).tolist()
        return sorted(((width, height) for width, height in unique), key=lambda size: (size[0] * size[1], size))

    def _peaks(self) -> Integers:
        peaks: Integers = self.facts[self.facts[:, 3] >= 0, 3]
        return peaks
