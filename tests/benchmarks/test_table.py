from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analognas.params import HardwareParams, TrainParams
from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS
from analognas.training.digital import DivergedError
from benchmarks import table
from benchmarks.table import Job, Measured, compare, markdown

TIMES = (ONE_SECOND, ONE_DAY, THIRTY_DAYS)


def network(accuracy: tuple[float, float, float], seeds: int = 4, spread: float = 0.0, seed: int = 0) -> Measured:
    """Return made-up outcomes: accuracies (shares) at the three times, which differ by ``spread`` between seeds."""
    rng = np.random.default_rng(seed)
    chance = np.array(accuracy)[None, :, None] + spread * rng.standard_normal((seeds, 1, 1))
    right = rng.random((seeds, 5, 3, 200)) < chance[:, None]
    return Measured(list(right), [100 * accuracy[0]] * seeds, TIMES)


def test_figures_are_means_over_seeds_devices_and_images():
    right = [np.zeros((2, 3, 4), dtype=bool), np.ones((2, 3, 4), dtype=bool)]
    right[1][1, 1:] = False  # one programming of the second seed loses everything after 1 s
    found = Measured(right, [50.0, 100.0], TIMES).figures()
    assert found["acc_digital"] == 75
    assert (found["acc_1s"], found["acc_1d"], found["acc_30d"]) == (50, 25, 25)
    assert found["avm"] == 25
    assert found["acc_1d_std"] == pytest.approx((0 + np.std([0, 100], ddof=1)) / 2)


def test_the_bootstrap_has_the_spread_of_seeds_and_images():
    spread = 0.05
    one = network((0.7, 0.7, 0.7), seeds=10, spread=spread)
    images = np.random.default_rng(1).multinomial(200, np.full(200, 1 / 200), size=3000)
    drawn = one.resampled(images, np.random.default_rng(2))["acc_1d"]
    accuracy = 100 * one.right[:, :, 1].mean(axis=(1, 2))
    by_seeds = accuracy.std() / np.sqrt(10)
    assert drawn.mean() == pytest.approx(accuracy.mean(), abs=0.2)
    assert by_seeds < drawn.std() < 1.3 * np.hypot(by_seeds, 100 * np.sqrt(0.7 * 0.3 / 200 / 50))


def test_a_difference_within_its_interval_is_inconclusive():
    better = {"ours": network((0.95, 0.9, 0.88)), "other": network((0.9, 0.7, 0.5), seed=1)}
    found = compare(better, 500)["other"]
    assert [found[name]["ours_is"] for name in ("acc_1d", "acc_30d", "avm")] == ["better"] * 3
    assert found["avm"]["difference"] < 0
    worse = compare({"ours": better["other"], "other": better["ours"]}, 500)["other"]
    assert [worse[name]["ours_is"] for name in ("acc_1d", "acc_30d", "avm")] == ["worse"] * 3
    alike = compare({"ours": network((0.9, 0.8, 0.7)), "other": network((0.9, 0.8, 0.7), seed=1)}, 500)["other"]
    assert {one["ours_is"] for one in alike.values()} == {"inconclusive"}


def test_images_are_paired():
    """Two networks that differ on the same few images only: the luck of the images is nearly the same for both."""
    rng = np.random.default_rng(3)
    hard = rng.random(200) < 0.3
    right = np.broadcast_to(~hard, (5, 3, 200))
    also = ~hard
    also[np.flatnonzero(also)[:12]] = False
    found = compare({"ours": Measured([right] * 4, [70.0] * 4, TIMES),
                     "other": Measured([np.broadcast_to(also, (5, 3, 200))] * 4, [70.0] * 4, TIMES)}, 500)  # fmt: skip
    difference = found["other"]["acc_1d"]
    assert difference["difference"] == pytest.approx(6)
    assert 2 < difference["low"] < difference["high"] < 10  # unpaired: -3 to 15


def test_the_table_says_what_is_inconclusive():
    measured = {"ours": network((0.9, 0.8, 0.7)), "other": network((0.9, 0.8, 0.7), seed=1)}
    measured["twin"] = measured["ours"]
    ids = {"ours": "a", "other": "b", "twin": "a"}
    networks = {name: {"id": ids[name], "params": 9_999, "tiles": 7} | one.figures() for name, one in measured.items()}
    text = markdown({"budgets": {"10000": {"networks": networks, "ours_minus": compare(measured, 200)}}})
    ours, other, twin = text.splitlines()[2:]
    assert twin.count("the same network") == 2
    assert "the same network" not in other
    assert "9,999" in ours
    assert "inconclusive" not in ours
    assert other.count("inconclusive") == 2


def test_a_training_that_diverges_is_done_again_and_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    seeds = []

    def diverging(*_, seed: int):
        seeds.append(seed)
        if len(seeds) < 3:
            raise DivergedError
        measured = SimpleNamespace(right=np.ones((2, 3, 11), dtype=bool), row={"acc_digital": 91.5})
        return SimpleNamespace(measure=lambda *_: measured)

    monkeypatch.setattr("analognas.training.protocol.train", diverging)
    dataset = SimpleNamespace(load=lambda: SimpleNamespace(tensors=lambda _: ((), ())), identity=lambda _: "d")
    job: Any = Job(SimpleNamespace(id="a"), dataset, HardwareParams(), TrainParams(), 7, str(tmp_path))
    table.train(job)
    assert seeds[0] == 7
    assert len(set(seeds)) == 3
    right, digital, diverged = table.read(job)
    assert (right.shape, right.all(), digital, diverged) == ((2, 3, 11), True, 91.5, 2)


def test_the_worst_programmings_are_a_quantile_over_all_trainings_with_its_own_interval():
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(20) < 4, 0.5, 0.92)  # four of twenty programmings lose much
    right = [rng.random((20, 3, 200)) < chance[:, None, None] for _ in range(4)]
    risky, safe = Measured(right, [90.0] * 4, TIMES), network((0.85, 0.85, 0.85), seed=1)
    assert risky.figures()["acc_1d_q05"] == pytest.approx(46, abs=4)  # a quarter into the bad ones
    found = compare({"safe": safe, "risky": risky}, 400)["risky"]  # without ours the first one is compared
    assert found["acc_1d_q05"]["ours_is"] == "better"
    assert found["acc_1d"]["difference"] == pytest.approx(85 - 83.6, abs=1.5)
