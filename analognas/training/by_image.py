"""Means over programmings for every image, and for the images of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS

if TYPE_CHECKING:
    import pandas as pd

#: Figures that are told of classes, in percent.
_OF_CLASSES = ("acc_1d", "acc_30d")

#: A class with its images and their accuracies in percent. (``class`` is a word of Python's own.)
ClassFigures = TypedDict("ClassFigures", {"class": str, "images": int, "acc_1d": float, "acc_30d": float})


def by_image(shares: NDArray[np.float64], times: Sequence[float]) -> dict[str, NDArray[np.float64]]:
    """Return the mean over programmings for every image, (images,), in percent, or points for the AVM, by figure.

    Args:
        shares: of the programmings that classified each image rightly, 0 to 1, (times, images).
        times: seconds after programming, among them one second, a day and 30 days.
    """
    mean = 100.0 * shares
    day, second, month = (mean[times.index(time)] for time in (ONE_DAY, ONE_SECOND, THIRTY_DAYS))
    return {"acc_1d": day, "acc_30d": month, "avm": second - month}


def by_class(images: Mapping[str, NDArray[np.float64]], labels: NDArray[np.str_]) -> pd.DataFrame:
    """Return the accuracies on the images of each class, by name, as ``ClassFigures``: a row for each.

    Args:
        images: of ``by_image``.
        labels: the class of each image by name, (images,).
    """
    import pandas as pd

    frame = pd.DataFrame({"class": labels, **{name: images[name] for name in _OF_CLASSES}})
    groups = frame.groupby("class", sort=True)
    means = groups.mean().reset_index()
    means.insert(1, "images", groups.size().to_numpy())
    return means
