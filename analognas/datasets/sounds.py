"""What recordings were before they became images: rates, channels, lengths; and what of it a user must know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analognas.datasets.audio import RATE, Features, resample
from analognas.datasets.base import Bytes, Integers
from analognas.datasets.wav import Sound

_MOST = 3
"""Rates that are named; of more, how many there are."""


def image_of(sound: Sound, features: Features) -> tuple[Bytes, int]:
    """Return the image of a recording, uint8 (frames, bands), and how many samples it had at ``audio.RATE``."""
    wave = resample(sound.wave, sound.rate)
    return features(wave), len(wave)


@dataclass(frozen=True, eq=False)
class Sounds:
    """One row for each recording, int64 (N, 3): samples per second, channels, samples at ``audio.RATE``."""

    facts: Integers

    @classmethod
    def empty(cls, count: int) -> Sounds:
        """Return rows to be filled by ``put``."""
        return cls(np.zeros((count, 3), dtype=np.int64))

    def put(self, index: int, rate: int, channels: int, samples: int) -> None:
        """Keep what is known of one recording."""
        self.facts[index] = rate, channels, samples

    def lengths(self, features: Features) -> str:
        """Return a phrase that says which rates and lengths there were, and what became of them."""
        rates, counts = np.unique(self.facts[:, 0], return_counts=True)
        ranked = [f"{rates[place]:,} Hz" for place in np.argsort(-counts, kind="stable")]
        named = ", ".join(ranked[:_MOST]) + (f" and {len(ranked) - _MOST} other rates" if len(ranked) > _MOST else "")
        channels = sorted(set(self.facts[:, 1].tolist()))
        several = "" if channels == [1] else f", {'/'.join(map(str, channels))} channels averaged"
        samples = self.facts[:, 2]
        short, long = np.count_nonzero(samples < features.samples), np.count_nonzero(samples > features.samples)
        height, width = features.shape
        became = [f"{short:,} filled up with silence"] if short else []
        became += [f"{long:,} cut to their loudest stretch"] if long else []
        return (
            f"{samples.min() / RATE:.2f} to {samples.max() / RATE:.2f} s at {named}{several}; as {features.seconds:g} "
            f"s at {RATE:,} Hz, {height} windows of {width}" + "".join(f", {text}" for text in became)
        )
