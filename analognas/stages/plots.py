"""What people would rather look at than read: one picture and the table behind it per stage."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

from analognas.files import write_text, writing
from analognas.training.columns import time_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analognas.workspace import Paths

_BLUE, _GREY, _RED, _GREEN = "#0b63b5", "#8a8f98", "#c2410c", "#15803d"
#: Columns of the accuracies by class: percent, means over programmings of the test images of a class.
OF_CLASSES = ["network", "class", "images", "acc_1d", "acc_30d"]


def measured(paths: Paths, results: pd.DataFrame) -> None:
    """Draw accuracy after one day against size, one point per characterized architecture."""
    columns = ["id", "params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "avm"]
    _table(paths, "characterize", results[columns])
    figure, axes = _figure("Characterized architectures", "trainable parameters", "accuracy, %")
    axes.errorbar(
        results["params"], results["acc_1d"], yerr=results["acc_1d_std"],
        fmt="o", color=_BLUE, ecolor=_GREY, label="analog, after 1 day (± std of repeats)",
    )  # fmt: skip
    axes.plot(results["params"], results["acc_digital"], "x", color=_GREY, label="digital")
    axes.set_xscale("log")
    _save(paths, "characterize", figure, axes)


def out_of_fold(paths: Paths, predictions: pd.DataFrame) -> None:
    """Draw predictions for architectures that the evaluator had not seen against what was measured."""
    _table(paths, "fit", predictions)
    figure, axes = _figure("Evaluator, out of fold", "measured accuracy after 1 day, %", "predicted, %")
    low, high = (
        predictions["acc_1d"] - predictions["acc_1d_low"],
        predictions["acc_1d_high"] - predictions["acc_1d"],
    )
    axes.errorbar(
        predictions["acc_1d_measured"], predictions["acc_1d"], yerr=[low.clip(lower=0), high.clip(lower=0)],
        fmt="o", color=_BLUE, ecolor=_GREY, elinewidth=0.8, label="prediction with 90 % interval",
    )  # fmt: skip
    ends = [predictions["acc_1d_measured"].min(), predictions["acc_1d_measured"].max()]
    axes.plot(ends, ends, color=_GREY, linewidth=1, label="equal")
    _save(paths, "fit", figure, axes)


def search_history(paths: Paths, history: pd.DataFrame) -> None:
    """Draw the best objective so far of every search, mean over its runs."""
    progress = history[["search", "run", "objective", "feasible"]].copy()
    progress["objective"] = progress["objective"].where(progress["feasible"])
    runs = progress.groupby(["search", "run"], sort=True)
    progress["evaluation"] = runs.cumcount() + 1
    progress["best"] = runs["objective"].cummax()
    progress["best"] = progress.groupby(["search", "run"])["best"].ffill()
    best = progress.groupby(["search", "evaluation"], sort=True)["best"]
    # Only where every run has found something: a run that joins later would pull the mean down.
    mean = best.mean().where(best.count() == best.size()).reset_index()
    _table(paths, "search", mean)
    figure, axes = _figure("Search through the evaluator", "architectures asked for", "best objective so far, %")
    for (name, part), color in zip(mean.groupby("search"), (_BLUE, _GREY, _RED), strict=False):
        axes.plot(part["evaluation"], part["best"], color=color, label=str(name))
    _save(paths, "search", figure, axes)


def drift_curves(paths: Paths, curves: pd.DataFrame) -> None:
    """Draw test accuracy over time after programming, of the winner and of what is compared with it."""
    _table(paths, "train", curves)
    figure, axes = _figure("Accuracy while the chip drifts (test set)", "time after programming", "accuracy, %")
    colors = cycle((_BLUE, _GREY, _RED, _GREEN))
    for (name, part), color in zip(curves.groupby("network", sort=False), colors, strict=False):
        axes.errorbar(
            part["seconds"],
            part["accuracy"],
            yerr=part["std"],
            marker="o",
            capsize=3,
            color=color,
            label=name,
        )
    times = sorted(set(curves["seconds"]))
    axes.set_xscale("log")
    axes.set_xticks(times, [time_name(time) for time in times])
    axes.minorticks_off()
    _save(paths, "train", figure, axes)


def classes(paths: Paths, accuracies: pd.DataFrame) -> None:
    """Keep the test accuracy of each class, columns ``OF_CLASSES``; the report draws it."""
    _table(paths, "classes", accuracies)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(paths: Paths, name: str, figure: Figure, axes: Axes) -> None:
    axes.legend(frameon=False)
    # No software version in the file: the same data gives the same bytes.
    metadata: dict[str, Any] = {"Software": None}
    with writing(paths.plot(f"{name}.png")) as temporary:
        figure.savefig(temporary, format="png", metadata=metadata)


def _table(paths: Paths, name: str, frame: pd.DataFrame) -> None:
    write_text(paths.plot(f"{name}.csv"), frame.to_csv(index=False))
