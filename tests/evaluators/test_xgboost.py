import json
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from analognas.errors import CorruptFileError, InputError, NotFittedError
from analognas.evaluators import XGBoostEvaluator
from analognas.evaluators import xgboost as module
from analognas.evaluators.storage import SCHEMA
from analognas.files import write_sealed
from analognas.search_spaces import ConfigSpace
from analognas.testing import EvaluatorConformance, synthetic_results

# 597 validation images of handwritten digits, hardware-aware training, five programmings. Width, residual
# blocks per main block, main blocks; accuracy after one day, its std, loss from 1 s to 30 days.
MEASURED_DIGITS = [
    (4, 1, 1, 398, 39.0, 12.6, 22.7),
    (4, 2, 2, 2_870, 87.3, 2.4, 12.2),
    (4, 3, 3, 17_462, 91.9, 1.3, 3.9),
    (8, 1, 1, 1_362, 70.9, 7.9, 21.1),
    (8, 2, 2, 10_978, 95.0, 3.5, 3.0),
    (8, 3, 3, 68_642, 97.6, 0.6, 1.2),
    (16, 1, 2, 19_706, 96.1, 1.3, 2.3),
    (4, 5, 3, 29_782, 89.6, 2.1, 4.1),
]


def quick(**settings):
    return XGBoostEvaluator(**{"folds": 2, "rounds": 10, "bootstrap": 100} | settings)


class TestXGBoost(EvaluatorConformance):
    def make(self):
        return quick()


class TestRanker(EvaluatorConformance):
    def make(self):
        return quick(method="ranker", rounds=30)


@pytest.fixture(scope="module")
def space():
    return ConfigSpace("digits", max_params=50_000)


@pytest.fixture(scope="module")
def small(space):
    """One that was fitted on the fewest architectures; for reading only."""
    architectures = space.sample(8)
    results = synthetic_results(architectures).assign(dataset="d")
    return quick(method="regressor", seed=np.int64(7)).fit(architectures, results)


@pytest.fixture(scope="module")
def defaults(space):
    """The evaluator as shipped, fitted on the number of rows of a default run."""
    architectures = space.sample(32, seed=1)
    start = time.process_time()
    evaluator = XGBoostEvaluator().fit(architectures, synthetic_results(architectures))
    evaluator.seconds = time.process_time() - start
    return evaluator


def test_a_default_fit_is_quick_and_ranks(defaults):
    assert defaults.seconds < 40  # processor time on a busy machine; 7 s on an idle one
    report = defaults.report_
    assert (report["rows"], report["folds"], report["repeats"], report["resamples"]) == (32, 5, 2, 1000)
    tau = report["targets"]["acc_1d"]["kendall_tau"]
    assert 0.5 < tau["low"] < tau["value"] < tau["high"] < 1


def test_predictions_are_quick(defaults, space):
    architectures = space.sample(200, seed=3)
    defaults.predict(architectures)
    start = time.process_time()
    defaults.predict(architectures)
    assert time.process_time() - start < 0.1


def test_out_of_fold_predictions_are_kept_beside_what_was_measured(defaults, space):
    frame = defaults.out_of_fold_
    results = synthetic_results(space.sample(32, seed=1))
    assert list(frame["id"]) == list(results["id"])
    for target in ("acc_1d", "avm", "acc_1d_std"):
        assert frame[f"{target}_measured"].to_numpy() == pytest.approx(results[target].to_numpy())
        # Not what the final models say of rows that they have seen.
        assert (frame[target] - frame[f"{target}_measured"]).abs().mean() > 0


def test_real_measurements_of_eight_networks_are_enough_to_tell_wide_from_narrow():
    space = ConfigSpace("digits", ranges={"R": [1, 5]})
    architectures, rows = [], []
    for width, blocks, main_blocks, params, accuracy, std, loss in MEASURED_DIGITS:
        genes = {"out_channel0": width, "kernel_size0": 3, "M": main_blocks}
        for i in range(1, main_blocks + 1):
            genes |= {f"R{i}": blocks, f"B{i}": 1, f"convblock{i}": "basic", f"widenfact{i}": 1 if i == 1 else 2}
        architectures.append(space.architecture(genes))
        assert architectures[-1].params == params
        rows.append({"acc_1d": accuracy, "acc_1d_std": std, "avm": loss})
    results = pd.DataFrame(rows)
    evaluator = quick(folds=4, rounds=30).fit(architectures, results)
    assert evaluator.score(architectures, results) > 0.7
    wide = space.architecture(dict(architectures[5].genes) | {"out_channel0": 12})
    narrow = space.architecture(dict(architectures[0].genes) | {"out_channel0": 5})
    predicted = evaluator.predict([wide, narrow])
    assert predicted["acc_1d"][0] > predicted["acc_1d"][1] + 20
    assert predicted["avm"][0] < predicted["avm"][1]
    assert predicted["acc_1d_std"][0] < predicted["acc_1d_std"][1]


def test_noise_is_reported_as_noise(space):
    """Methods are chosen, scores mapped and intervals fitted without the rows that are reported on."""
    architectures = space.sample(60, seed=4)
    results = synthetic_results(architectures)[["acc_1d", "avm", "acc_1d_std"]]
    shuffled = results.sample(frac=1, random_state=0, ignore_index=True)
    report = quick(folds=5, rounds=5).fit(architectures, shuffled).report_
    for target in ("acc_1d", "avm", "acc_1d_std"):
        assert report["targets"][target]["kendall_tau"]["value"] < 0.2
        assert report["targets"][target]["coverage"]["value"] > 0.8


def test_every_reported_row_was_held_out_of_everything(space, monkeypatch):
    calls = []

    def recorded(features, measured, groups, *others):
        calls.append(set(groups))
        return fit_model(features, measured, groups, *others)

    fit_model = module.fit_model
    monkeypatch.setattr(module, "fit_model", recorded)
    architectures = space.sample(9)
    quick(method="regressor", folds=3, rounds=2).fit(architectures, synthetic_results(architectures))
    final, *folds = calls
    assert final == set(range(9))
    assert [len(seen) for seen in folds] == [6] * 6
    for repetition in (folds[:3], folds[3:]):
        assert sorted(row for seen in repetition for row in final - seen) == list(range(9))


def test_several_measurements_of_one_architecture_stay_together(space):
    architectures = space.sample(10, seed=4) * 3
    results = pd.concat([synthetic_results(architectures[:10], seed=seed) for seed in range(3)])
    report = quick().fit(architectures, results).report_
    assert (report["rows"], report["architectures"]) == (30, 10)


def test_eight_copies_of_one_architecture_are_not_eight_architectures(space):
    architectures = space.sample(1) * 8
    with pytest.raises(InputError, match=r"1 of 8 .* at least 8"):
        quick().fit(architectures, synthetic_results(architectures[:1]).iloc[[0] * 8])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"method": "forest"}, "method 'forest'"),
        ({"folds": 1}, "folds is 1"),
        ({"bootstrap": 0}, "bootstrap is 0"),
        ({"rounds": 0}, "rounds"),
        ({"max_depth": 0}, "max_depth"),
        ({"learning_rate": 0.0}, "learning_rate"),
    ],
)
def test_bad_settings_are_named(space, settings, named):
    architectures = space.sample(8)
    with pytest.raises(InputError, match=named):
        quick(**settings).fit(architectures, synthetic_results(architectures))


def test_it_is_a_scikit_learn_estimator(small):
    copy = clone(small)
    assert copy.get_params() == small.get_params()
    assert not hasattr(copy, "report_")
    assert copy.set_params(folds=3).folds == 3


def test_seeds_differ(small, space, tmp_path):
    architectures = space.sample(8)
    small.save(tmp_path / "7")
    clone(small).set_params(seed=8).fit(architectures, synthetic_results(architectures)).save(tmp_path / "8")
    names = "acc_1d/00.ubj", "avm/03.ubj"
    assert all((tmp_path / "7" / name).read_bytes() != (tmp_path / "8" / name).read_bytes() for name in names)


def test_an_unfitted_one_uses_the_packaged_surrogate_of_the_space(small, space, tmp_path, monkeypatch):
    architectures = space.sample(8)
    small.save(tmp_path / "packaged" / space.name)
    monkeypatch.setattr(module, "packaged_folder", lambda: tmp_path / "packaged")
    module.packaged.cache_clear()
    try:
        evaluator = XGBoostEvaluator()
        pd.testing.assert_frame_equal(evaluator.predict(architectures), small.predict(architectures))
        evaluator.check(space=space.name, dataset="d")
        with pytest.raises(NotFittedError, match="none is packaged for the space 'resnet-cifar10'"):
            evaluator.predict(ConfigSpace("CIFAR-10").sample(1))
    finally:
        module.packaged.cache_clear()


def test_another_format_is_refused_with_the_remedy(small, tmp_path):
    small.save(tmp_path)
    schema = json.loads((tmp_path / SCHEMA).read_text())
    for change, named in (({"format": 99}, "format 99"), ({"kind": "other"}, "not the schema")):
        write_sealed(tmp_path / SCHEMA, schema | change, "digest")
        with pytest.raises(CorruptFileError, match=named):
            XGBoostEvaluator.load(tmp_path)
    (tmp_path / SCHEMA).write_text(json.dumps(schema | {"params": {}}))
    with pytest.raises(CorruptFileError, match="digest"):
        XGBoostEvaluator.load(tmp_path)


def test_numpy_numbers_are_settings_too(small, tmp_path):
    small.save(tmp_path)
    assert XGBoostEvaluator.load(tmp_path).get_params() == small.get_params()
