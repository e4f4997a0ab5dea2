"""What was trained at the end, and what is told of it: figures, intervals, curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pandas as pd

from analognas.stages import plots
from analognas.training.by_image import by_class
from analognas.training.columns import time_label
from analognas.training.intervals import half_width, of_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from analognas.params import HardwareParams, Params, TrainParams
    from analognas.rows import ResultRow
    from analognas.search_algorithms.constraints import Constraints
    from analognas.search_spaces import Architecture
    from analognas.stages.identity import DatasetSpec
    from analognas.stages.summaries import Difference
    from analognas.training.columns import ArchitectureFigures
    from analognas.training.winner import Packed

#: The figures in which two networks are compared.
COMPARED = ("acc_1d", "acc_30d", "avm")


@dataclass(frozen=True)
class Training:
    """Everything a worker process needs to train one network and to measure it.

    ``limits`` are those that it must hold on validation before the test set is touched; None: none.
    """

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    training: TrainParams
    seed: int
    device: str
    limits: Constraints | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a training: rows on validation and on test, and the winner it would be.

    ``images`` holds the means over programmings for every test image, of each figure that is compared, and ``labels``
    the class of each by name. They, ``test`` and ``packed`` are None if the training failed or a limit was broken.
    """

    validation: ResultRow
    test: ResultRow | None = None
    packed: Packed | None = None
    images: dict[str, NDArray[np.float64]] | None = None
    labels: NDArray[np.str_] | None = None


def with_interval(winner: Outcome) -> dict[str, float | None]:
    """Return what was measured of the winner on test with 90 % intervals over programmings and test images."""
    assert winner.test is not None
    assert winner.images is not None
    row = winner.test
    values = dict(row.measured)
    for name in ("acc_1d", "avm"):
        images = winner.images[name]
        half = half_width(
            [row[f"{name}_sem"] ** 2, of_images(images)],
            [row.repeats - 1, max(1, len(images) - 1)],
            0.95,
        )
        values |= {f"{name}_low": row[name] - half, f"{name}_high": row[name] + half}
    return values


def figures(row: ResultRow) -> ArchitectureFigures:
    """Return what is told of a measured network."""
    figures = {"id": row.id, "params": row.params, "tiles": row.tiles, "repeats": row.repeats, **row.measured}
    return cast("ArchitectureFigures", figures)


def differences(winner: Outcome, other: Outcome) -> dict[str, Difference]:
    """Return winner minus another network in each figure of ``COMPARED``, see ``difference``."""
    return {name: difference(winner, other, name) for name in COMPARED}


def difference(winner: Outcome, baseline: Outcome, name: str) -> Difference:
    """Return winner minus another network with a 95 % interval over programmings and test images.

    Three variances add up: of the mean over programmings of each network, and of the mean over images of their
    difference on the same image (crossed random effects). The quantile is Student's, its degrees of freedom are
    Welch's and Satterthwaite's. It holds for these two trained networks: how much another training would change them
    is not in it.
    """
    assert winner.test is not None
    assert winner.images is not None
    assert baseline.test is not None
    assert baseline.images is not None
    apart = winner.images[name] - baseline.images[name]
    half = half_width(
        [
            winner.test[f"{name}_sem"] ** 2,
            baseline.test[f"{name}_sem"] ** 2,
            of_images(apart),
        ],
        [winner.test.repeats - 1, baseline.test.repeats - 1, max(1, len(apart) - 1)],
        0.975,
    )
    value = winner.test[name] - baseline.test[name]
    return {"value": value, "low": value - half, "high": value + half}


def curve(network: str, row: ResultRow, params: Params) -> pd.DataFrame:
    """Return the accuracy of a measured network over time, percent, with its std over programmings."""
    labels = [time_label(time) for time in params.train.times]
    return pd.DataFrame(
        {
            "network": network,
            "seconds": params.train.times,
            "accuracy": [row[f"acc_{label}"] for label in labels],
            "std": [row[f"acc_{label}_std"] for label in labels],
        }
    )


def by_class_of(network: str, outcome: Outcome) -> pd.DataFrame:
    """Return the accuracy on the test images of each class, the mean over programmings, percent."""
    assert outcome.images is not None
    assert outcome.labels is not None
    table = by_class(outcome.images, outcome.labels)
    table.insert(0, "network", network)
    return table[plots.OF_CLASSES]


def looked_up(network: str, row: ResultRow) -> pd.DataFrame:
    """Return the same of a network that was looked up."""
    seconds = {"1h": 3_600.0, "1d": 86_400.0, "30d": 2_592_000.0}
    return pd.DataFrame(
        {
            "network": network,
            "seconds": list(seconds.values()),
            "accuracy": [row[f"acc_{label}"] for label in seconds],
            "std": [row[f"acc_{label}_std"] for label in seconds],
        }
    )
