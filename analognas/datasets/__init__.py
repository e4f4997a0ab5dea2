"""Image and sound classification datasets: loaded by name, split once and for all, identified by their content.

Importing this package loads neither torch nor scikit-learn; a dataset's own module is imported when it is
loaded.
"""

from analognas.datasets.base import AUGMENTATIONS, PARTS, Dataset, Options, Origin, Split, assemble, describe
from analognas.datasets.registry import Entry, catalogue, find, load, names, register

__all__ = [
    "AUGMENTATIONS",
    "PARTS",
    "Dataset",
    "Entry",
    "Options",
    "Origin",
    "Split",
    "assemble",
    "catalogue",
    "describe",
    "find",
    "load",
    "names",
    "register",
]
