"""The published files that can be downloaded: where they are, and the checksum by which they are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analognas.files import cache_folder


@dataclass(frozen=True)
class Published:
    """One file.

    ``checksum`` is ``md5:...`` or ``sha256:...``; ``size`` in bytes; ``folder`` is where in the cache folder it is
    kept, for files whose names others may have too.
    """

    url: str
    checksum: str
    size: int
    folder: str = ""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def path(self) -> Path:
        """Where it is kept once it was downloaded."""
        return cache_folder() / self.folder / self.name


CIFAR10 = (
    Published(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530", 170_052_171
    ),
)
CIFAR100 = (
    Published(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8", 168_513_733
    ),
)
FASHION_MNIST = tuple(
    Published(
        f"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/{name}-ubyte.gz",
        f"md5:{md5}",
        size,
        "fashion-mnist",
    )
    for name, md5, size in (
        ("train-images-idx3", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
        ("train-labels-idx1", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
        ("t10k-images-idx3", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
        ("t10k-labels-idx1", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
    )
)
SPEECH_COMMANDS = (
    Published(
        "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        2_428_923_189,
    ),
)
