"""From what a user has to what a network takes: pictures, recordings and arrays as a dataset read them.

Each step is the function that made the dataset: ``images.decode``, ``wav.read`` and ``sounds.image_of``,
``levels.to_levels``, ``levels.normalised``. What cannot be known (whether numbers are levels, or 0 to 1) is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analognas.causes import wrong
from analognas.datasets import wav
from analognas.datasets.audio import RATE, Features
from analognas.datasets.base import Bytes, Dataset, Origin
from analognas.datasets.images import decode
from analognas.datasets.levels import LEVELS, normalised, to_levels
from analognas.datasets.sounds import image_of
from analognas.errors import AnalogNASWarning, ContentError, DatasetError

Array = np.ndarray[Any, Any]

_REPLACE = "; remove or replace it"
_KINDS = {"u": "integers", "i": "integers", "f": "floating-point numbers", "b": "truth values"}
_ROUNDING = 1e-6
"""So far outside of 0 to 1 numbers are that were computed in single precision."""
_BEYOND = 0.1
"""New data may lie outside of the range of the old ones by this share of it: what is further is on another scale."""


@dataclass(frozen=True)
class Preprocessing:
    """How files and arrays become the input of a network, (N, channels, height, width).

    ``input_shape``, ``scale``, ``mean``, ``std``, ``class_names`` and ``origin`` are those of the ``Dataset`` that the
    network was trained on.
    """

    input_shape: tuple[int, int, int]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    origin: Origin

    @classmethod
    def of(cls, dataset: Dataset) -> Preprocessing:
        """Return that of a dataset."""
        return cls(dataset.input_shape, dataset.scale, dataset.mean, dataset.std, dataset.class_names, dataset.origin)

    def normalised(self, levels: Bytes) -> npt.NDArray[np.float32]:
        """Return what the network takes for images (N, C, H, W) as the dataset holds them."""
        return normalised(levels, self.scale, self.mean, self.std)

    def levels_of_files(self, paths: Sequence[Path]) -> Bytes:
        """Return files as images like those of the dataset, uint8 (N, C, H, W).

        Raises:
            DatasetError: naming every file that cannot be read, or if no file alone is an input of this network.
        """
        kind = self.origin.files
        if kind is None:
            raise DatasetError(
                "The dataset of this winner does not say how a file becomes an image: give arrays, or let its loader "
                "say it, as assemble(..., origin=Origin(files='images')), and train again."
            )
        read = {"images": self._picture, "recordings": self._recording, "arrays": self._array}[kind]
        images = []
        problems: dict[str, list[str]] = {}  # files by what is wrong with them
        for path in paths:
            try:
                images.append(read(path))
            except DatasetError as error:
                what = str(error).removeprefix(str(path)).removesuffix(".").removesuffix(_REPLACE)
                problems.setdefault(what, []).append(str(path))
        if problems:
            some = f"{len(paths) - len(images)} of {len(paths)} files cannot be used: " if len(paths) > 1 else ""
            which = "; ".join(f"{', '.join(names)}{what}" for what, names in problems.items())
            raise DatasetError(f"{some}{which}; this winner takes {self.takes}.")
        return np.stack(images) if images else np.zeros((0, *self.input_shape), dtype=np.uint8)

    @property
    def takes(self) -> str:
        """Which files it takes, in words."""
        channels, height, width = self.input_shape
        return {
            "images": f"pictures (PNG, JPEG and others; brought to {width}x{height} pixels"
            f"{', grey' if channels == 1 else ''})",
            "recordings": f"recordings (WAV, of any rate; {self._seconds:g} s of them)",
            "arrays": f".npy files of one image each, {self.input_shape}",
            None: "arrays, no files",
        }[self.origin.files]

    @property
    def _seconds(self) -> float:
        return self.origin.sound[1] if self.origin.sound else 0.0

    def _picture(self, path: Path) -> Bytes:
        pixels = decode(path, *self.input_shape).pixels
        if self.scale == LEVELS:
            return pixels
        if 0 < pixels.max() <= self.scale:
            raise DatasetError(
                f"{path} cannot be told from the dataset's own levels of 0 to {self.scale:g}, because nothing in it is "
                "brighter (spread levels over 0 to 255)."
            )
        return to_levels(pixels, (0.0, LEVELS), self.scale)

    def _recording(self, path: Path) -> Bytes:
        assert self.origin.sound is not None
        try:
            sound = wav.read(path.read_bytes())
        except ContentError as error:
            raise DatasetError(f"{path} cannot be read as a WAV file ({wrong(error)}).") from error
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({wrong(error)}).") from error
        return image_of(sound, Features(*self.origin.sound))[0][np.newaxis]

    def levels_of_sounds(self, sounds: Sequence[tuple[Any, int]]) -> Bytes:
        """Return recordings in memory as images like those of the dataset, uint8 (N, C, H, W).

        Args:
            sounds: samples, (length,) or (length, channels), with their rate. Integers span the range of their type,
                as in a WAV file; floating-point numbers are -1 to 1.

        Raises:
            DatasetError: if the winner takes no recordings, or what one is cannot be known.
        """
        if self.origin.sound is None:
            raise DatasetError(f"Samples with a rate are a recording; this winner takes {self.takes}.")
        return np.stack([self._sound(f"Recording {place}", *sound) for place, sound in enumerate(sounds)])

    def _sound(self, name: str, samples: Any, rate: int) -> Bytes:
        values = np.asarray(samples)
        if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or not values.size:
            raise DatasetError(
                f"{name} is {values.dtype} {values.shape}; give numbers, (length,) or (length, channels)."
            )
        if not wav.MIN_RATE <= rate <= wav.MAX_RATE:
            raise DatasetError(f"{name} has {rate} samples per second; {wav.MIN_RATE:,} to {wav.MAX_RATE:,} are read.")
        wave = wav.to_unit(values)
        if not np.isfinite(wave).all() or np.abs(wave).max() > 1:
            raise DatasetError(f"{name} holds samples beyond -1 to 1; give integers if they are those of a WAV file.")
        assert self.origin.sound is not None
        sound = wav.Sound(wave if wave.ndim == 1 else wave.mean(axis=1), rate, 1)
        return image_of(sound, Features(*self.origin.sound))[0][np.newaxis]

    def _array(self, path: Path) -> Bytes:
        try:
            with path.open("rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({wrong(error)}).") from error
        except Exception as error:  # a damaged file may raise nearly anything
            raise DatasetError(f"{path} cannot be read as a whole .npy file of numbers.") from error
        try:
            levels = self.levels(array)
        except DatasetError as error:
            raise DatasetError(f"{path} cannot be used ({wrong(error)})") from error
        if len(levels) != 1:
            raise DatasetError(f"{path} cannot be one input (it has {len(levels)} images).")
        image: Bytes = levels[0]
        return image

    def levels(self, values: Array) -> Bytes:
        """Return an array of images as the dataset holds them, uint8 (N, C, H, W).

        Args:
            values: (N, C, H, W), (N, H, W, C), one image (C, H, W) or (H, W, C), and with one channel (N, H, W) or
                (H, W). Bytes and other integers are levels, 0 to ``scale``; floating-point numbers are 0 to 1. If the
                dataset was made of arrays of other numbers, they are these, on the same scale.

        Raises:
            DatasetError: if the shape is another one, or the numbers may mean something else.
        """
        images = self._channels_first(np.asarray(values))
        if not images.size:
            return np.zeros((0, *self.input_shape), dtype=np.uint8)
        kind = _KINDS.get(images.dtype.kind)
        if kind is None:
            raise DatasetError(f"The images are of type {images.dtype}; images are numbers.")
        low, high = float(images.min()), float(images.max())
        if not np.isfinite([low, high]).all():
            raise DatasetError("The images hold values that are not finite; mend or remove them.")
        own = self.origin.numbers
        if images.dtype == np.uint8 and own != "integers":
            return self._checked(images, low, high)
        if images.dtype == np.uint8 and self.origin.span != (0.0, self.scale):
            raise DatasetError(
                f"Bytes may be the levels 0 to {self.scale:g} of the dataset or numbers of its file, which are "
                f"{self._span()}: give the latter as another type of integers."
            )
        if own is not None:
            if kind != own:
                raise DatasetError(f"The images are {kind}; those of the dataset's file are {own} {self._span()}.")
            return self._in_span(images.astype(np.float64), low, high)
        if kind == "integers":
            return self._checked(images, low, high)
        if kind == "truth values":
            raise DatasetError(f"The images are truth values; give levels of 0 to {self.scale:g}, or 0.0 to 1.0.")
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise DatasetError(
                f"The images are floating-point numbers from {low:g} to {high:g}, where 0 to 1 is expected: give "
                f"integers if they are levels of 0 to {self.scale:g}, and give no normalised images."
            )
        return to_levels(images.clip(0, 1), (0.0, 1.0), self.scale)

    def _checked(self, images: Array, low: float, high: float) -> Bytes:
        if low < 0 or high > self.scale:
            raise DatasetError(
                f"The images hold levels from {low:g} to {high:g}; those of the dataset are 0 to {self.scale:g}, and "
                "floating-point numbers are taken as 0 to 1."
            )
        return images.astype(np.uint8)

    def _in_span(self, images: npt.NDArray[np.float64], low: float, high: float) -> Bytes:
        least, greatest = self.origin.span
        spare = _BEYOND * (greatest - least)
        if low < least - spare or high > greatest + spare:
            raise DatasetError(
                f"The images are from {low:g} to {high:g}; those of the dataset are {self._span()}: give them on the "
                "same scale."
            )
        if low < least or high > greatest:
            outside = np.count_nonzero((images < least) | (images > greatest))
            warnings.warn(
                f"{outside:,} of {images.size:,} values lie outside of those that the winner was trained on "
                f"({self._span()}) and are taken as the nearest of them",
                AnalogNASWarning,
                stacklevel=4,
            )
        return to_levels(images.clip(least, greatest), self.origin.span, self.scale)

    def _span(self) -> str:
        low, high = self.origin.span
        return f"from {low:g} to {high:g}"

    def _channels_first(self, values: Array) -> Array:
        channels, height, width = self.input_shape
        shape, last = values.shape, (height, width, channels)
        if shape[1:] == self.input_shape:
            return values
        if shape == self.input_shape:
            return values[np.newaxis]
        if shape[1:] == last:
            return values.transpose(0, 3, 1, 2)
        if shape == last:
            return values.transpose(2, 0, 1)[np.newaxis]
        if channels == 1 and shape[1:] == (height, width):
            return values[:, np.newaxis]
        if channels == 1 and shape == (height, width):
            return values[np.newaxis, np.newaxis]
        raise DatasetError(
            f"The images have the shape {shape}; the winner takes (N, {channels}, {height}, {width}) or "
            f"(N, {height}, {width}, {channels})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description; ``from_dict`` makes the same of it."""
        sound = None
        if self.origin.sound is not None:
            kind, seconds, size = self.origin.sound
            sound = {"features": kind, "seconds": seconds, "image_size": size, "rate": RATE}
        return {
            "input_shape": list(self.input_shape),
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "class_names": list(self.class_names),
            "files": self.origin.files,
            "sound": sound,
            "numbers": self.origin.numbers,
            "span": list(self.origin.span),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Return what ``to_dict`` described.

        Raises:
            ContentError: if it is something else.
        """
        try:
            channels, height, width = (int(size) for size in data["input_shape"])
            low, high = map(float, data["span"])
            sound = data["sound"]
            if sound is not None and sound["rate"] != RATE:
                raise ContentError(f"recordings are brought to {RATE} samples per second here, not {sound['rate']}")
            features = None if sound is None else (sound["features"], sound["seconds"], sound["image_size"])
            if data["files"] not in ("images", "recordings", "arrays", None):
                raise ContentError(f"files of the kind {data['files']!r} are not known here")
            if (data["files"] == "recordings") != (features is not None):
                raise ContentError("recordings need sound features, and nothing else has them")
            read = cls(
                (channels, height, width),
                float(data["scale"]),
                tuple(map(float, data["mean"])),
                tuple(map(float, data["std"])),
                tuple(map(str, data["class_names"])),
                Origin(data["files"], features, data["numbers"], (low, high)),
            )
            if not len(read.mean) == len(read.std) == channels or len(read.class_names) < 2:
                raise ContentError("mean and std are not of its channels, or there are no classes")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ContentError(wrong(error)) from error
        return read
