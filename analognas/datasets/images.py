"""One image file: its size, and its pixels in a given shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from analognas.datasets.base import Bytes
from analognas.errors import DatasetError

EXTENSIONS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
# Pillow knows more, among them formats that start other programs
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_EXIF_ORIENTATION = 0x0112


def inspect(path: Path) -> tuple[tuple[int, int], bool]:
    """Return (width, height) as displayed and whether the image is grey, from the header of the file."""
    with _opened(path) as image:
        width, height = image.size
        if "exif" in image.info and image.getexif().get(_EXIF_ORIENTATION, 1) >= 5:  # turned by 90 degrees
            width, height = height, width
        return (width, height), image.mode in ("1", "L", "LA") or image.mode.startswith("I")


def decode(path: Path, channels: int, height: int, width: int) -> Bytes:
    """Return the pixels of an image file as uint8 (channels, height, width); channels is 1 or 3."""
    with _opened(path) as opened:
        image: Image.Image = opened
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 or 32 bits per pixel: Pillow would clip instead of scale
            values = np.clip(np.asarray(image), 0, 65535)
            in_bytes = image.mode == "I" and opened.format == "TIFF" and values.max() <= 255  # PGM: 16 bits
            image = Image.fromarray((values if in_bytes else values >> 8).astype(np.uint8))
        elif image.mode == "F":
            raise ValueError("its pixels are floating-point numbers")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)  # widens its filter: antialiased
        pixels = np.asarray(image)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise DatasetError(f"{path} cannot be read as an image ({error}); remove or replace it.") from error
