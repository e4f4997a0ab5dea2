from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analognas.stages import plots
from analognas.workspace import Paths

RESULTS = pd.DataFrame(
    {
        "id": ["a", "b"],
        "params": [1_000, 20_000],
        "tiles": [5, 9],
        "acc_digital": [95.0, 97.0],
        "acc_1d": [80.0, 90.0],
        "acc_1d_std": [2.0, 1.0],
        "avm": [4.0, 3.0],
        "reason": ["", ""],
    }
)
PREDICTIONS = pd.DataFrame(
    # The second prediction lies outside of its own interval, as calibrated quantiles may.
    {"acc_1d_measured": [80.0, 90.0], "acc_1d": [82.0, 85.0], "acc_1d_low": [75.0, 86.0], "acc_1d_high": [88.0, 95.0]}
)
HISTORY = pd.DataFrame(
    [
        ("random_search", 0, 50.0, True),
        ("ea_optimized", 0, 10.0, True),
        ("ea_optimized", 1, 20.0, True),
        ("ea_optimized", 0, 30.0, False),
        ("ea_optimized", 1, 15.0, True),
        ("ea_optimized", 0, 20.0, True),
        ("ea_optimized", 1, 40.0, True),
    ],
    columns=["search", "run", "objective", "feasible"],
)
CURVES = pd.DataFrame(
    {
        "network": ["winner"] * 3 + ["plain residual network"] * 3,
        "seconds": [1.0, 7.0, 86_400.0] * 2,
        "accuracy": [95.0, 90.0, 85.0, 94.0, 85.0, 70.0],
        "std": [1.0] * 6,
    }
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, laid out but not rendered."""
    figures: list[Figure] = []

    def save(figure: Figure, *_: object, **__: object) -> None:
        figure.draw_without_rendering()
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", save)
    return figures


def table(paths: Paths, name: str) -> pd.DataFrame:
    return pd.read_csv(paths.plot(f"{name}.csv"))


def legend(figure: Figure) -> list[str]:
    (axes,) = figure.axes
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_same_data_give_a_picture_and_a_table_of_the_same_bytes(tmp_path: Path):
    one, two = Paths(tmp_path / "one"), Paths(tmp_path / "two")
    for paths in (one, two):
        plots.drift_curves(paths, CURVES)
    for name in ("train.png", "train.csv"):
        assert one.plot(name).read_bytes() == two.plot(name).read_bytes()
    picture = one.plot("train.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert b"matplotlib" not in picture.lower()


def test_the_table_of_results_has_a_row_for_each_architecture(tmp_path: Path, drawn: list[Figure]):
    plots.measured(Paths(tmp_path), RESULTS)
    pd.testing.assert_frame_equal(table(Paths(tmp_path), "characterize"), RESULTS.drop(columns="reason"))
    assert sorted(legend(drawn[0])) == ["analog, after 1 day (± std of repeats)", "digital"]


def test_predictions_are_drawn_against_what_was_measured(tmp_path: Path, drawn: list[Figure]):
    plots.out_of_fold(Paths(tmp_path), PREDICTIONS)
    pd.testing.assert_frame_equal(table(Paths(tmp_path), "fit"), PREDICTIONS)
    (axes,) = drawn[0].axes
    points = [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axes.lines]
    assert [(80.0, 82.0), (90.0, 85.0)] in points
    assert [(80.0, 80.0), (90.0, 90.0)] in points


def test_a_search_is_the_mean_over_its_runs_of_the_best_feasible_so_far(tmp_path: Path, drawn: list[Figure]):
    plots.search_history(Paths(tmp_path), HISTORY)
    best = table(Paths(tmp_path), "search").groupby("search")["best"].agg(list).to_dict()
    assert best == {"ea_optimized": [15.0, 15.0, 30.0], "random_search": [50.0]}
    assert legend(drawn[0]) == ["ea_optimized", "random_search"]


def test_a_search_that_has_found_nothing_yet_has_no_best(tmp_path: Path, drawn: list[Figure]):
    plots.search_history(Paths(tmp_path), HISTORY.assign(feasible=[False, False, False, True, True, True, True]))
    found = table(Paths(tmp_path), "search").set_index(["search", "evaluation"])["best"]
    assert found["ea_optimized"].isna().tolist() == [True, False, False]
    assert found["random_search"].isna().all()


@pytest.mark.parametrize("networks", [["winner", "plain residual network"], ["winner"]])
def test_drift_is_drawn_over_named_times(tmp_path: Path, drawn: list[Figure], networks: list[str]):
    curves = CURVES[CURVES["network"].isin(networks)]
    plots.drift_curves(Paths(tmp_path), curves)
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1 s", "7 s", "1 day"]
    assert legend(drawn[0]) == networks
    assert len(table(Paths(tmp_path), "train")) == len(curves)


def test_the_best_so_far_never_falls_when_a_run_finds_its_first(tmp_path: Path, drawn: list[Figure]):
    found = {(0, 0): 90.0, (0, 1): 91.0, (1, 1): 4.0}  # (run, evaluation): objective, where there is a feasible one
    rows = [
        {"search": "ea", "run": run, "objective": found.get((run, step), 99.0), "feasible": (run, step) in found}
        for run in (0, 1)
        for step in (0, 1)
    ]
    plots.search_history(Paths(tmp_path), pd.DataFrame(rows))
    best = pd.read_csv(Paths(tmp_path).plot("search.csv"))["best"]
    assert best.isna().tolist() == [True, False]
    assert best[1] == pytest.approx(47.5)


def test_the_drift_of_every_network_is_drawn(workspace: Paths, drawn: list[Figure]):
    names = ["winner", "plain residual network", "MLPerf Tiny's network", "32 layers"]
    plots.drift_curves(workspace, pd.concat([CURVES[:3].assign(network=name) for name in names], ignore_index=True))
    legend = drawn[0].axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names
    assert len({handle.lines[0].get_color() for handle in drawn[0].axes[0].containers}) == len(names)
