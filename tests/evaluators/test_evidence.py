import json

import numpy as np
import pandas as pd
import pytest

from analognas.errors import CorruptFileError
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.evidence import Evidence, weighed
from analognas.search_spaces import ConfigSpace

SPACE = ConfigSpace("digits", max_params=10_000)


def world(n: int = 60, again: int = 20, luck: float = 1.0, ignorance: float = 2.0, seed: int = 0):
    """True accuracies around 80 %, out-of-fold predictions and measurements of them, some twice."""
    rng = np.random.default_rng(seed)
    architectures = SPACE.sample(n, seed=seed)
    truth = 80 + 4 * rng.standard_normal(n)
    unseen = truth + ignorance * rng.standard_normal(n)
    rows = [*range(n), *range(again)]
    measured = truth[rows] + luck * rng.standard_normal(len(rows))
    results = pd.DataFrame({"acc_1d": measured, "avm": 2 + 0.1 * rng.standard_normal(len(rows)), "acc_1d_std": 1.0})
    predicted = pd.DataFrame({"id": [one.id for one in architectures], "acc_1d": unseen, "avm": 2.0, "acc_1d_std": 1.0})
    return truth, measured, Evidence.of([architectures[row] for row in rows], results, predicted), architectures


def ordered(evidence: Evidence, architectures, values) -> np.ndarray:
    by_id = {one.id: value for one, value in zip(architectures, values, strict=True)}
    return np.array([by_id[one.id] for one in evidence.architectures])


def test_it_is_closer_to_the_truth_than_measurement_and_prediction():
    gains = []
    for seed in range(20):
        truth, measured, evidence, architectures = world(seed=seed)
        found = evidence.table()["acc_1d"].to_numpy()
        target = ordered(evidence, architectures, truth)
        first = ordered(evidence, architectures, measured[: len(architectures)])
        errors = [np.sqrt(np.mean((one - target) ** 2)) for one in (found, first)]
        gains.append(errors[0] / errors[1])
    assert np.mean(gains) < 0.9


def test_the_more_luck_the_less_a_measurement_counts():
    def share(luck: float) -> float:
        _, _, evidence, _ = world(luck=luck, ignorance=2.0)
        mean, _ = evidence.posterior("acc_1d")
        return float(
            np.median((mean - evidence.unseen["acc_1d"]) / (evidence.measured["acc_1d"] - evidence.unseen["acc_1d"]))
        )

    assert 0.95 < share(0.1) <= 1
    assert 0.4 < share(2.0) < 0.8
    assert share(4.0) < 0.5


def test_its_interval_is_for_another_training():
    held = []
    rng = np.random.default_rng(5)
    for seed in range(40):
        truth, _, evidence, architectures = world(seed=seed)
        table = evidence.table()
        another = ordered(evidence, architectures, truth) + rng.standard_normal(len(truth))
        held.append(np.mean((another >= table["acc_1d_low"]) & (another <= table["acc_1d_high"])))
    assert 0.85 < np.mean(held) < 0.95


def test_two_trainings_count_more_than_one():
    _, _, evidence, architectures = world()
    twice = ordered(evidence, architectures, [1] * 20 + [0] * 40).astype(bool)
    assert (evidence.trainings == np.where(twice, 2, 1)).all()
    _, variance = evidence.posterior("acc_1d")
    assert variance[twice].max() < variance[~twice].min()


def test_without_repeated_trainings_half_the_error_is_luck():
    _, _, evidence, _ = world(again=0)
    error = np.mean((evidence.measured["acc_1d"] - evidence.unseen["acc_1d"]) ** 2)
    assert evidence.noise["acc_1d"] == pytest.approx(np.full(60, error / 2))


def test_standard_errors_over_programmings_are_the_least_noise():
    *_, architectures = world(again=0)
    results = pd.DataFrame(
        {"acc_1d": 80.0 + np.arange(60) % 3, "acc_1d_sem": [30.0] + [0.0] * 59, "avm": 1.0, "acc_1d_std": 1.0}
    )
    unseen = pd.DataFrame({"id": [one.id for one in architectures], "acc_1d": 80.0, "avm": 1.0, "acc_1d_std": 1.0})
    noise = ordered(found := Evidence.of(architectures, results, unseen), found.architectures, found.noise["acc_1d"])
    first = [one.id for one in found.architectures].index(architectures[0].id)
    assert noise[first] > 10 * np.delete(noise, first).max()


def test_predictions_of_measured_ones_are_replaced_and_others_are_not():
    _, _, evidence, architectures = world(n=8, again=0)
    asked = [*SPACE.sample(4, seed=99), architectures[2]]
    columns = dict.fromkeys(TARGETS, 50.0)
    columns |= {f"{target}_{end}": 1.0 for target in TARGETS for end in ("uncertainty", "low", "high")}
    predictions = pd.DataFrame([{"id": one.id, **columns, "acc_1d_score": 0.0} for one in asked])
    table = weighed(predictions, evidence)
    assert table["measured"].tolist() == [False] * 4 + [True]
    own = evidence.table().set_index("id").loc[architectures[2].id]
    assert table.loc[4, "acc_1d"] == own["acc_1d"] != 50.0
    assert (table.loc[:3, list(TARGETS)] == 50.0).all(axis=None)
    assert weighed(predictions, None)["measured"].tolist() == [False] * 5


def test_it_is_the_same_after_a_round_trip_and_damage_is_named():
    _, _, evidence, _ = world(n=8, again=4)
    text = json.dumps(evidence.to_dict())
    pd.testing.assert_frame_equal(Evidence.from_dict(json.loads(text)).table(), evidence.table())
    for damage in ({"noise": {}}, {"trainings": [1.0]}, {"scales": None}):
        with pytest.raises(CorruptFileError, match="fit it again"):
            Evidence.from_dict(json.loads(text) | damage)
