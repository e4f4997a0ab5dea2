from dataclasses import replace

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from analognas.pages import figures
from analognas.pages.content import Content, read
from analognas.workspace import Paths


@pytest.fixture(scope="module")
def content(finished: Paths) -> Content:
    return read(finished)


def test_every_figure_says_of_what_it_is_and_what_its_bars_are(content: Content):
    found = figures.drawn(content)
    assert [figure.name for figure in found] == ["drift", "classes", "trade-off", "predictions", "robust", "search"]
    for figure in found:
        title = figure.figure.get_suptitle()
        assert title.startswith(f"{content.subject}, winner {content.figures['winner']['id'][:8]}:\n")
        assert figure.caption.endswith(".")


def test_no_title_leaves_its_figure(content: Content):
    name = "a folder of pictures that somebody gave quite a long name, and more than one"
    for shown in (content, replace(content, figures={**content.figures, "dataset": name})):
        for drawn in figures.drawn(shown):
            canvas = FigureCanvasAgg(drawn.figure)
            canvas.draw()
            (title,) = drawn.figure.texts
            box = title.get_window_extent(canvas.get_renderer())
            assert 0 <= box.x0 < box.x1 <= drawn.figure.bbox.width, (drawn.name, title.get_text())


def test_the_drift_is_drawn_over_the_logarithm_of_time_for_both_networks(content: Content):
    found = figures.drift(content)
    assert found is not None
    axes = found.figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [line.get_label() for line in axes.lines] == ["winner", "plain residual network"]
    winner = content.curves[content.curves["network"] == "winner"]
    assert axes.lines[0].get_ydata().tolist() == winner["accuracy"].tolist()


def test_a_point_tells_its_architecture(content: Content):
    found = figures.trade_off(content)
    assert found is not None
    row = content.measured.dropna(subset="acc_30d").sort_values("params", kind="stable").iloc[0]
    told = found.titles["measured"][0]
    assert told.startswith(f"{row['id']}: ")
    assert f"{row['params']:,} parameters" in told
    assert f"after 30 days {row['acc_30d']:.2f} %" in told
    assert found.titles["winner"][0].startswith(content.figures["winner"]["id"])


def test_the_front_is_what_nothing_beats_in_both(content: Content):
    rows = pd.DataFrame({
        "id": list("abcd"), "genes": ["{}"] * 4, "tiles": 1, "params": [10, 20, 30, 40],
        "acc_1d": 50.0, "acc_30d": [50.0, 40.0, 70.0, 70.0], "avm": 1.0,
    })  # fmt: skip
    found = figures.trade_off(replace(content, measured=rows))
    assert found is not None
    front = found.figure.axes[0].lines[0]
    assert front.get_xdata().tolist() == [10, 30]


def test_the_classes_that_the_winner_knows_worst_are_drawn(content: Content):
    names = [f"class {number}" for number in range(30)]
    rows = pd.DataFrame({"network": "winner", "class": names, "images": 20, "acc_1d": 90.0, "acc_30d": range(30, 60)})
    plain = rows.assign(network="plain residual network", acc_30d=50.0)
    found = figures.by_class(replace(content, classes=pd.concat([rows, plain], ignore_index=True)))
    assert found is not None
    axes = found.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == names[:25]
    winner, other = axes.lines
    assert winner.get_xdata().tolist() == list(range(30, 55))
    assert other.get_xdata().tolist() == [50.0] * 25
    assert "of 30 classes the 25 that the winner knows worst" in found.caption
    assert "20 test images of each class" in found.caption


def test_the_users_own_networks_stand_in_the_figure_of_classes(content: Content):
    rows = pd.DataFrame(
        {"network": "winner", "class": ["a", "b"], "images": 9, "acc_1d": 90.0, "acc_30d": [80.0, 90.0]}
    )
    others = [rows.assign(network=f"net {number} (yours)", acc_30d=float(number)) for number in range(10)]
    found = figures.by_class(replace(content, classes=pd.concat([rows, *others], ignore_index=True)))
    assert found is not None
    lines = found.figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["winner", *(f"net {number} (yours)" for number in range(10))]
    assert lines[10].get_xdata().tolist() == [9.0, 9.0]
    assert len({(line.get_marker(), line.get_color()) for line in lines}) == 11


def test_the_features_that_count_most_are_drawn_first(content: Content):
    rows = [
        {"id": each, "feature": f"feature {number}", "value": float(sign), "points": sign * float(number)}
        for number in range(14)
        for each, sign in (("a", -1), ("b", 1))
    ]
    found = figures.robust(replace(content, contributions=pd.DataFrame(rows)))
    assert found is not None
    axes = found.figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"feature {number}" for number in range(13, 3, -1)
    ]
    assert sorted(axes.collections[0].get_offsets()[:, 0].tolist()) == [-13.0, 13.0]
    assert "2 architectures" in found.caption


def test_without_data_there_is_no_figure(content: Content):
    nothing = replace(
        content, curves=content.curves.iloc[:0], classes=content.classes.iloc[:0],
        measured=content.measured.assign(acc_30d=float("nan")), unseen=content.unseen.iloc[:0],
        contributions=content.contributions.iloc[:0],
        progress=content.progress.assign(best=float("nan")),
    )  # fmt: skip
    assert figures.drawn(nothing) == []
