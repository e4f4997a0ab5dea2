"""The real CIFAR-10 (Krizhevsky 2009): 60,000 RGB images of 32x32 pixels in 10 classes."""

from __future__ import annotations

from analognas.datasets import cifar
from analognas.datasets.base import Dataset, Options
from analognas.datasets.published import CIFAR10 as FILES

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

FORMAT = cifar.Format(
    name="cifar10",
    title="CIFAR-10",
    class_names=CLASS_NAMES,
    batches=("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"),
    label_bytes=1,
    labels="labels",
    metas=("batches.meta.txt", "batches.meta"),
    names="label_names",
    folders=("cifar-10-batches-bin", "cifar-10-batches-py"),
    archives=("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"),
)


def load(options: Options) -> Dataset:
    """Return CIFAR-10, input shape (3, 32, 32); see ``cifar.load``."""
    return cifar.load(FORMAT, FILES[0], options)
