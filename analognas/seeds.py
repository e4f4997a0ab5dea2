"""The one place where randomness comes from.

Every random decision is drawn from a generator whose seed is derived from the base seed and the labels of
what it is for. So the order in which things run, and the number of workers, cannot change a result.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache

import numpy as np


def derive_seed(seed: int, *labels: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and all ``labels``."""
    text = json.dumps([int(seed), *labels], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *labels: str | int) -> np.random.Generator:
    """Return a NumPy generator for this purpose."""
    return np.random.default_rng(derive_seed(seed, *labels))


def seed_torch(seed: int, *labels: str | int) -> None:
    """Seed torch's global generators: aihwkit draws its noise from them, and only from them."""
    import torch

    derived = derive_seed(seed, *labels)
    if _has_cuda():
        torch.manual_seed(derived)
    else:
        # The same without notes for devices that are not there: torch keeps one with a traceback for each seed, which
        # takes a hundred times as long.
        torch.default_generator.manual_seed(derived)


@cache
def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
