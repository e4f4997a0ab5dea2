"""A tiny classification problem, and a tiny network for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from analognas.datasets import Dataset
from analognas.datasets.base import assemble
from analognas.hardware.analog import convert
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams, TrainingParams
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.config_space import ConfigSpace

CLASSES = 3


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Return 120 noisy images (1, 8, 8) of three patterns: 60 for training, 30 and 30 held out."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (CLASSES, 1, 8, 8))
    y = np.arange(120) % CLASSES
    x = (patterns[y] + rng.integers(0, 56, (120, 1, 8, 8))).astype(np.uint8)
    split = {"train": np.arange(60), "validation": np.arange(60, 90), "test": np.arange(90, 120)}
    return assemble("patterns", x, y, split, class_names=("a", "b", "c"))


@pytest.fixture(scope="session")
def space() -> ConfigSpace:
    return ConfigSpace("patterns", input_shape=(1, 8, 8), classes=CLASSES)


@pytest.fixture(scope="session")
def architecture(space: ConfigSpace) -> Architecture:
    return space.smallest()


@pytest.fixture(scope="session")
def protocol() -> TrainingParams:
    return TrainingParams(epochs=2, hwa_epochs=2, batch_size=16, repeats=2)


@pytest.fixture
def network() -> nn.Module:
    """Return a digital network for the patterns."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    )


@pytest.fixture
def config() -> Any:
    """Return the default RPU configuration, which a test may change."""
    return rpu_config(HardwareParams())


@pytest.fixture
def model(network: nn.Module, config: Any) -> nn.Module:
    """Return the network on analog tiles, not trained."""
    return convert(network, config)


@pytest.fixture
def train_set(dataset: Dataset) -> tuple[Tensor, Tensor]:
    return dataset.tensors("train")


@pytest.fixture
def held_out(dataset: Dataset) -> tuple[Tensor, Tensor]:
    return dataset.tensors("validation")
