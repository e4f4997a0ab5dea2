"""The figures of the page, by Matplotlib: the same ones as vector graphics in the page and as files for a paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from analognas.evaluators.features import feature_label
from analognas.search_algorithms.pareto import non_dominated
from analognas.training.columns import time_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analognas.pages.content import Content

#: Colours that people who do not tell red from green can tell apart (Okabe and Ito, 2008).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_GREY = "#8a8f98"
#: Classes that are drawn at most: those that the winner knows worst.
_CLASSES = 25
#: Features that are drawn at most: those that count most.
_FEATURES = 10
#: Networks whose names have place beside their lines.
_WITHIN = 3
#: Of networks in the figure of classes: open signs, so that none hides another.
_MARKERS = "o|x_+1234"


@dataclass(frozen=True)
class Drawn:
    """A figure with what is to be known of it.

    Attributes:
        name: of its file.
        heading: on the page.
        caption: what is drawn, and what bars and bands are.
        figure: Matplotlib's.
        titles: what each point of an artist tells, by the ``gid`` of the artist.
    """

    name: str
    heading: str
    caption: str
    figure: Figure
    titles: dict[str, list[str]]


def drawn(content: Content) -> list[Drawn]:
    """Return the figures that there are data for, in the order of the page."""
    makers: tuple[Callable[[Content], Drawn | None], ...] = (drift, by_class, trade_off, predictions, robust, search)
    return [figure for maker in makers if (figure := maker(content)) is not None]


def drift(content: Content) -> Drawn | None:
    """Draw the accuracy of winner, plain network and the user's own ones over the time since programming."""
    curves = content.curves
    if curves.empty:
        return None
    figure, axes = _figure(content, "accuracy while the chip drifts", "time after programming", "test accuracy, %")
    for color, (name, part) in zip(cycle(_COLORS), curves.groupby("network", sort=False), strict=False):
        axes.plot(part["seconds"], part["accuracy"], marker="o", color=color, label=str(name))
        axes.fill_between(
            part["seconds"], part["accuracy"] - part["std"], part["accuracy"] + part["std"], color=color, alpha=0.15
        )
    times = sorted(set(curves["seconds"]))
    axes.set_xscale("log")
    axes.set_xticks(times, [time_name(time) for time in times])
    axes.minorticks_off()
    if len(axes.lines) > _WITHIN:
        figure.legend(frameon=False, loc="outside lower center", ncols=_WITHIN)
    else:
        axes.legend(frameon=False)
    repeats = content.figures["winner"].get("repeats")
    of = f" {repeats}" if repeats else ""
    caption = (
        f"Lines: mean over{of} programmings of one training of each network. Bands: plus and minus one standard "
        "deviation over the programmings."
    )
    return Drawn("drift", "While the chip drifts", caption, figure, {})


def by_class(content: Content) -> Drawn | None:
    """Draw the accuracy of each class after a month, of the winner, the plain network and the user's own ones."""
    table = content.classes
    own = table[table["network"] == "winner"].sort_values(["acc_30d", "class"], kind="stable")
    if own.empty:
        return None
    shown = own["class"].tolist()[:_CLASSES]
    figure, axes = _figure(content, "accuracy by class", "test accuracy after 30 days, %", "")
    networks = table.groupby("network", sort=False)
    for color, marker, (name, part) in zip(cycle(_COLORS), cycle(_MARKERS), networks, strict=False):
        values = part.set_index("class")["acc_30d"].reindex(shown)
        axes.plot(values, range(len(shown)), marker, color=color, label=str(name), markersize=8, markeredgewidth=2)
    axes.set_yticks(range(len(shown)), [_short(name) for name in shown], parse_math=False)
    axes.invert_yaxis()  # the worst one is read first
    figure.legend(frameon=False, loc="outside lower center", ncols=_WITHIN)
    if len(shown) > _WITHIN * 4:
        figure.set_figheight(1.2 + 0.27 * len(shown))
    images, most = own["images"].min(), own["images"].max()
    of = f"{images}" if images == most else f"{images} to {most}"
    left = "" if len(shown) == len(own) else f"; of {len(own)} classes the {len(shown)} that the winner knows worst"
    caption = (
        f"Means over programmings, {of} test images of each class{left}. Two classes that are a few points apart may "
        "be equally well known: an image more or less is "
        f"{100 / images:.2g} points."
    )
    return Drawn("classes", "By class, after a month", caption, figure, {})


def trade_off(content: Content) -> Drawn | None:
    """Draw what was characterized: accuracy after a month against parameters, and which of it nothing beats."""
    from matplotlib.ticker import LogLocator

    rows = content.measured
    rows = rows[rows["acc_30d"].notna()] if "acc_30d" in rows else rows.iloc[:0]
    if rows.empty:
        return None
    rows = rows.sort_values("params", kind="stable")
    figure, axes = _figure(content, "what was characterized", "parameters", "accuracy after 30 days, %")
    points = axes.scatter(rows["params"], rows["acc_30d"], c=rows["avm"], cmap="viridis_r", s=28)
    points.set_gid("measured")
    bar = figure.colorbar(points, ax=axes)
    bar.set_label("AVM, percentage points")
    front = rows[non_dominated(rows[["params", "acc_30d"]].to_numpy(dtype=float) * [1, -1])]
    axes.step(front["params"], front["acc_30d"], where="post", color=_GREY, label="nothing is smaller and better")
    winner = content.figures["winner"]
    if "acc_30d" in winner:
        star = axes.scatter([winner["params"]], [winner["acc_30d"]], marker="*", s=160, color=_COLORS[1], zorder=3)
        star.set_label("winner, on test images")
        star.set_gid("winner")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.legend(frameon=False, loc="lower right")
    caption = (
        f"Each point is an architecture that was trained and measured on validation images ({len(rows)}); the star is "
        "the winner on test images. The line joins those that no other one beats in both."
    )
    titles = {"measured": [_point(row) for row in rows.to_dict("records")], "winner": [_point(winner)]}
    return Drawn("trade-off", "Size against accuracy", caption, figure, titles)


def predictions(content: Content) -> Drawn | None:
    """Draw what the evaluator said of architectures that it had not seen against what was measured."""
    table = content.unseen
    if table.empty or "acc_1d_measured" not in table:
        return None
    label = "accuracy after 1 day, %"
    figure, axes = _figure(content, "evaluator, out of fold", f"measured {label}", f"predicted {label}")
    below, above = table["acc_1d"] - table["acc_1d_low"], table["acc_1d_high"] - table["acc_1d"]
    axes.errorbar(
        table["acc_1d_measured"], table["acc_1d"], yerr=[below.clip(lower=0), above.clip(lower=0)],
        fmt="none", ecolor=_GREY, elinewidth=0.8,
    )  # fmt: skip
    axes.scatter(table["acc_1d_measured"], table["acc_1d"], s=22, color=_COLORS[0], zorder=3).set_gid("unseen")
    ends = [table["acc_1d_measured"].min(), table["acc_1d_measured"].max()]
    axes.plot(ends, ends, color=_GREY, linewidth=1)
    titles = [
        f"{row['id']}: measured {row['acc_1d_measured']:.1f} %, predicted {row['acc_1d']:.1f} %"
        for row in table.to_dict("records")
    ]
    caption = (
        "Each point is an architecture that the evaluator had not seen when it predicted it. Bars: 90 % intervals for "
        "a new measurement. The line is where both agree."
    )
    return Drawn("predictions", "Predicted and measured", caption, figure, {"unseen": titles})


def robust(content: Content) -> Drawn | None:
    """Draw what the evaluator has learned of the loss of a month: the features that count most."""
    table = content.contributions
    if table.empty:
        return None
    strength = table.assign(points=table["points"].abs()).groupby("feature", sort=True)["points"].mean()
    shown = strength[strength > 0].sort_values(ascending=False, kind="stable").index[:_FEATURES].tolist()
    if not shown:
        return None
    figure, axes = _figure(content, "what makes networks robust", "contribution to the predicted AVM, points", "")
    for place, name in enumerate(shown):
        part = table[table["feature"] == name]
        ranks = part["value"].rank(pct=True)
        # Points of one feature are set apart by their order, so that they do not hide each other.
        height = place + 0.5 * (part["points"].rank(method="first") % 5 / 5 - 0.4)
        points = axes.scatter(part["points"], height, c=ranks, cmap="viridis", s=14, vmin=0, vmax=1)
    axes.axvline(0, color=_GREY, linewidth=1)
    axes.set_yticks(range(len(shown)), [feature_label(name) for name in shown], parse_math=False)
    axes.invert_yaxis()
    bar = figure.colorbar(points, ax=axes, ticks=[0, 1])
    bar.ax.set_yticklabels(["low", "high"])
    bar.set_label("value of the feature")
    architectures = table["id"].nunique()
    caption = (
        f"Shapley values of the evaluator for the {architectures} architectures of the sample: right of the line a "
        "feature lets more be lost in a month, left of it less. They say what the evaluator has learned, not what "
        "causes what; analognas explain has those of one architecture."
    )
    return Drawn("robust", "What makes networks robust", caption, figure, {})


def search(content: Content) -> Drawn | None:
    """Draw the best objective so far of each search."""
    table = content.progress.dropna()
    if table.empty:
        return None
    figure, axes = _figure(content, "search", "architectures asked for", "best predicted objective so far, %")
    for color, (name, part) in zip(_COLORS, table.groupby("search", sort=False), strict=False):
        axes.plot(part["evaluation"], part["best"], color=color, label=str(name).replace("_", " "))
    axes.legend(frameon=False, loc="lower right")
    caption = (
        "Mean over the runs of each search, from where all of them have found something that holds the limits. The "
        "objective is the evaluator's; what it is worth shows the figure before."
    )
    return Drawn("search", "How the search went on", caption, figure, {})


def _point(row: Any) -> str:
    """Return what a point tells: which architecture it is, and its figures."""
    genes = row["genes"]
    named = json.loads(genes) if isinstance(genes, str) else genes
    parts = [f"{row['id']}: {', '.join(f'{name} {value}' for name, value in named.items())}"]
    parts += [f"{row['params']:,} parameters on {row['tiles']} tiles"]
    for name, label in (("acc_1d", "after 1 day"), ("acc_30d", "after 30 days")):
        if row.get(name) is not None:
            parts.append(f"{label} {row[name]:.2f} %")
    return "\n".join(parts)


def _figure(content: Content, what: str, x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.3), layout="constrained")
    axes = figure.subplots()
    # Of the figure, not of the axes, beside which long labels leave little room.
    title = f"{content.subject}, winner {content.figures['winner']['id'][:8]}:\n{what}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, wrap=True)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 3]}..."
