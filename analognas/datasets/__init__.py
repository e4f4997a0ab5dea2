"""Image classification datasets: loaded by name, split once and for all, identified by their content.

Importing this package loads neither torch nor scikit-learn; a dataset's own module is imported when it is
loaded.
"""

from analognas.datasets.base import PARTS, Dataset, Options, Progress, Split, assemble, describe
from analognas.datasets.registry import Entry, catalogue, load, names, register

__all__ = [
    "PARTS",
    "Dataset",
    "Entry",
    "Options",
    "Progress",
    "Split",
    "assemble",
    "catalogue",
    "describe",
    "load",
    "names",
    "register",
]
