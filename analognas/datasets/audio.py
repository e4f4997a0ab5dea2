"""Recordings as small images: resampled, cut to one length, and turned into time by frequency.

In double precision up to the last step, the rounding to bytes, so that the bytes hardly ever depend on the platform.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analognas.datasets.base import Bytes

RATE = 16_000
"""Samples per second to which every recording is brought."""
KINDS = ("mfcc", "log-mel")
MAX_IMAGE_SIZE = 64
"""More bands would be narrower than the resolution of the spectrum."""

# As in MLPerf Tiny's keyword spotting: windows of 30 ms every 20 ms, 40 mel bands from 20 to 4,000 Hz, 10 coefficients.
_WINDOW = 480
_HOP = 320
_BANDS = 40
_COEFFICIENTS = 10
_LOW_HZ, _HIGH_HZ = 20.0, 4000.0
_TRANSFORM = 1024
_RANGE = 50.0
"""Decibels: the loudest band and moment of a recording becomes 255, what is so far below it becomes 0."""
_QUIET = -60.0
"""Decibels below full scale: what is never louder is not brought up to 255."""

Wave = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """What becomes of a recording: an image of one channel, time downwards, frequency to the right.

    ``kind`` is ``mfcc`` (mel-frequency cepstral coefficients) or ``log-mel`` (energies in mel bands, decibels), both
    relative to the loudest moment, so that it does not matter how far away a speaker is;
    ``seconds`` the length that is looked at; ``size`` makes the image square, with as many frames and bands.
    """

    kind: str = KINDS[0]
    seconds: float = 1.0
    size: int | None = None

    @property
    def samples(self) -> int:
        """Samples that are looked at."""
        return round(self.seconds * RATE)

    @property
    def hop(self) -> int:
        """Samples from one window to the next."""
        return _HOP if self.size is None else (self.samples - _WINDOW) // (self.size - 1)

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bands (or coefficients)."""
        if self.size is not None:
            return self.size, self.size
        return 1 + (self.samples - _WINDOW) // _HOP, _BANDS if self.kind == "log-mel" else _COEFFICIENTS

    def __call__(self, wave: Wave) -> Bytes:
        """Return the image of a recording (samples at ``RATE``, -1 to 1), uint8 (frames, bands)."""
        frames, bands = self.shape
        wave = cut(wave, self.samples)
        starts = np.arange(frames) * self.hop
        windows = wave[starts[:, np.newaxis] + np.arange(_WINDOW)] * _window()
        power = np.abs(np.fft.rfft(windows, _TRANSFORM)) ** 2 / (_window().sum() / 2) ** 2  # a full-scale sine: 1
        if self.kind == "log-mel":
            return _scaled(_relative(power @ _mel_filters(bands)))
        from scipy.fft import dct

        cepstrum = dct(_relative(power @ _mel_filters(max(_BANDS, bands))), norm="ortho")[:, :bands]
        # The first coefficient is the mean level. The others lie around zero, the higher ones closer to it.
        level = cepstrum[:, :1] / math.sqrt(max(_BANDS, bands))
        shape = (cepstrum[:, 1:] * _lifter(bands) - 1) * (_RANGE / 2)
        return _scaled(np.concatenate([level, shape], axis=1))


def resample(wave: Wave, rate: int) -> Wave:
    """Return a recording of ``rate`` samples per second at ``RATE`` (polyphase filtering, antialiased)."""
    if rate == RATE:
        return wave
    from scipy.signal import resample_poly

    common = math.gcd(rate, RATE)
    resampled: Wave = resample_poly(wave, RATE // common, rate // common)
    return resampled


def cut(wave: Wave, samples: int) -> Wave:
    """Return a recording of exactly so many samples: silence added on both sides, or the loudest stretch of it."""
    spare = len(wave) - samples
    if spare <= 0:
        return np.pad(wave, (-spare // 2, -spare - (-spare // 2)))
    energy = np.concatenate([[0.0], np.cumsum(wave**2)])
    starts = np.arange(0, spare + 1, _HOP)
    start = int(starts[np.argmax(energy[starts + samples] - energy[starts])])
    return wave[start : start + samples]


def _relative(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return decibels below the loudest, from ``-_RANGE`` to 0."""
    decibels = 10 * np.log10(np.maximum(power, 10 ** ((_QUIET - _RANGE) / 10)))
    relative: npt.NDArray[np.float64] = np.maximum(decibels - max(decibels.max(), _QUIET), -_RANGE)
    return relative


def _scaled(decibels: npt.NDArray[np.float64]) -> Bytes:
    return np.round(np.clip((decibels + _RANGE) * (255 / _RANGE), 0, 255)).astype(np.uint8)


@functools.cache
def _window() -> Wave:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)


@functools.cache
def _lifter(coefficients: int) -> npt.NDArray[np.float64]:
    """Return what brings the coefficients from the second on to about -1 to 1: measured on spoken digits."""
    return (1 + np.arange(coefficients - 1) / 3) / 150


@functools.cache
def _mel_filters(bands: int) -> npt.NDArray[np.float64]:
    """Return triangular filters, evenly spaced on the mel scale, (frequencies, bands), with peaks of 1."""
    edges = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), bands + 2)
    mels = _mel(np.arange(_TRANSFORM // 2 + 1) * (RATE / _TRANSFORM))[:, np.newaxis]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters: npt.NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return filters


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)
