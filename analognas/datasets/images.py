"""One image file: its size, and its pixels in a given shape."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from analognas.datasets.base import Bytes
from analognas.errors import ContentError, DatasetError

_AVIF = bool(features.check("avif"))
"""Pillow may be built without it; files that it cannot read are passed over, counted and named."""
EXTENSIONS = (
    ".png",
    ".apng",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".jif",
    ".bmp",
    ".dib",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
    *((".avif",) if _AVIF else ()),
)
# Pillow knows more, among them formats that start other programs
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", *(("AVIF",) if _AVIF else ()))
_ORIENTATION = 0x0112
_ORIENTED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where formats keep how a picture is to be turned, but for TIFF: it has a tag, which Pillow obeys by itself."""
_BYTE, _DEEP = 255, 65535


class UnreadableImageError(DatasetError):
    """A file that is no image, or a damaged one; ``reason`` says what is wrong with it, in plain words."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read as an image ({reason}); remove or replace it.")
        self.reason = reason


class Picture(NamedTuple):
    """What was read of an image file.

    ``pixels`` are uint8 (channels, height, width); ``size`` is (width, height) of the file, upright; ``turned`` says
    that it was turned upright; ``peak`` is the greatest value of a file with more than 8 bits per channel (of colours
    its upper bound), whose upper byte was taken, and ``None`` otherwise; ``as_bytes`` says that a file of 32 bits was
    taken as bytes, ``transparent`` that some of its pixels let white shine through.
    """

    pixels: Bytes
    size: tuple[int, int]
    turned: bool = False
    peak: int | None = None
    as_bytes: bool = False
    transparent: bool = False


def inspect(path: Path) -> tuple[tuple[int, int], bool]:
    """Return (width, height) as displayed and whether the image is grey, from the header of the file."""
    with _opened(path) as image:
        width, height = image.size
        if _orientation(image) >= 5:  # turned by 90 degrees
            width, height = height, width
        return (width, height), image.mode in ("1", "L", "LA") or image.mode.startswith("I")


def decode(path: Path, channels: int, height: int, width: int) -> Picture:
    """Return an image file in the given shape; channels is 1 or 3."""
    with _opened(path) as opened:
        image: Image.Image = opened
        deep = any(";16" in str(tile) for tile in opened.tile)  # colours of 16 bits: Pillow takes the upper byte
        by_pillow = opened.format == "TIFF" and opened.getexif().get(_ORIENTATION, 1) in range(2, 9)
        image.load()
        turned = by_pillow or _orientation(image) > 1
        if turned and not by_pillow:
            image = ImageOps.exif_transpose(image)
        size = image.size
        peak, as_bytes = None, False
        if image.mode.startswith("I"):  # 16 or 32 bits per pixel: Pillow would clip instead of scale
            values = np.clip(np.asarray(image), 0, _DEEP)
            peak = int(values.max())
            as_bytes = image.mode == "I" and opened.format == "TIFF" and peak <= _BYTE  # PGM: 16 bits
            image = Image.fromarray((values if as_bytes else values >> 8).astype(np.uint8))
        elif image.mode == "F":
            raise ContentError("its pixels are floating-point numbers")
        elif deep:
            peak = int(np.asarray(image).max()) << 8 | _BYTE
        transparent = False
        if image.has_transparency_data:
            image = image.convert("RGBA")
            transparent = int(np.asarray(image)[..., 3].min()) < _BYTE  # all may be opaque nevertheless
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)  # widens its filter: antialiased
        pixels = np.asarray(image)
    pixels = pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)
    return Picture(pixels, size, turned, None if as_bytes else peak, as_bytes, transparent)


def _orientation(image: Image.Image) -> int:
    """Return how an image is to be turned, 1 if not at all, from what was read of it so far."""
    if image.format == "TIFF" or not any(key in image.info for key in _ORIENTED):
        return 1
    orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)  # that of PNG files would decode them
    return orientation if orientation in range(1, 9) else 1


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow has to say of odd files, in its own words
            # by name, Pillow 13.0 would map grey TIFF files that are to be turned as if they were upright already
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
                yield image
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise UnreadableImageError(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Return what is wrong with an image in plain words."""
    if isinstance(error, ContentError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "it is of no format that is read here, or damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, Image.DecompressionBombError):
        return "it has more pixels than any picture for this purpose"
    return "it is damaged or cut short"
