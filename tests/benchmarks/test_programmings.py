import numpy as np
import pytest

from benchmarks import programmings
from benchmarks._estimators import QUANTITIES
from benchmarks.programmings import Reference


def made_up(seed: int, images: int = 300) -> Reference:
    """Margins that a number of the whole programming moves, and one of each image; mirrored ones move back."""
    rng = np.random.default_rng(seed)
    clean = rng.normal(1.5, 1.5, images)

    def margins(common: np.ndarray, own: np.ndarray) -> np.ndarray:
        loss = np.array([0.0, 0.3, 0.6])[:, None]
        return clean - loss + 0.4 * common[:, None, None] + 0.4 * own[:, None, :]

    common, own = rng.normal(size=120), rng.normal(size=(120, images))
    independent = margins(common, own)
    plans = {"independent": independent, "mirrored": margins(-common, -own)[:60]}
    for plan in ("latin", "symmetric"):
        levels = np.concatenate([rng.permutation([-1.4, -0.7, -0.2, 0.2, 0.7, 1.4]) for _ in range(10)])
        plans[plan] = margins(levels, rng.normal(size=(60, images)))
    probability = 1 / (1 + np.exp(-independent))
    return Reference(plans, probability, independent + 0.1, clean, np.array([0.1, 1.0, 0.5, 0.25, 0.13]))


@pytest.fixture(scope="module")
def report():
    return programmings.compare([made_up(seed) for seed in range(4)])


def test_estimators_are_compared_with_independent_programmings(report) -> None:
    rows = report["estimators"]
    variance = {name: row["acc_1d"]["variance"] for name, row in rows.items()}
    assert variance["independent"] == pytest.approx(1, abs=0.35)
    assert variance["mirrored"] < 0.4
    assert variance["stratified"] < 0.4
    # The control is the accuracy of the same programmings, but for a shift: it leaves next to nothing.
    assert variance["control: linearised"] < 0.3
    hard = next(value for name, value in variance.items() if name.startswith("control: hardest images"))
    assert hard < 0.9
    assert variance["normal margins, mirrored"] < 0.2
    assert all(set(row) == set(QUANTITIES) for row in rows.values())
    assert abs(rows["mirrored"]["acc_1d"]["bias"]) < 4 * rows["mirrored"]["acc_1d"]["bias_error"]


def test_the_spread_of_six_is_off_by_a_third(report) -> None:
    off = report["std_of_std"]["independent"]
    assert abs(off["mean"]) < 12
    assert 20 < off["rms"] < 45


def test_numbers_in_common_help_where_networks_react_alike() -> None:
    one = made_up(0)
    assert programmings.common([one, one]) == pytest.approx([0.0] * 3, abs=1e-9)
    apart = programmings.common([made_up(1), made_up(2)])
    assert all(0.6 < value < 1.4 for value in apart)


def test_it_is_shown_as_a_table(report, capsys) -> None:
    programmings.show(report)
    shown = capsys.readouterr().out
    assert "4 networks, 120 references each; aim 0.24" in shown
    assert all(name in shown for name in report["estimators"])


class Stored:
    """A network of which some programmings are stored."""

    def __init__(self, complete: bool) -> None:
        self.done: list[tuple[str, int]] = []
        self.there = complete

    def measure(self, plan: str, first: int) -> None:
        self.done.append((plan, first))

    def complete(self, count: int) -> bool:
        return self.there


def test_only_complete_networks_are_taken_where_nothing_is_measured(monkeypatch) -> None:
    networks = [Stored(complete=False), Stored(complete=False)]
    assert programmings.measure(networks, 40, only_measured=True) == []
    assert not any(network.done for network in networks)
    assert programmings.measure(networks, 40, only_measured=False) == []
    assert networks[0].done == [
        ("independent", 0), ("independent", 20), ("mirrored", 0), ("latin", 0), ("symmetric", 0),
    ]  # fmt: skip
