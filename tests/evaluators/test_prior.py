"""An evaluator that starts from what another one says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from analognas.errors import CorruptFileError, InputError, MismatchError
from analognas.evaluators import TARGETS, XGBoostEvaluator
from analognas.evaluators.metrics import kendall_tau
from analognas.evaluators.prior import NAMES, PACKAGED, Prior
from analognas.evaluators.xgboost import read_prior
from analognas.files import file_digest
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results

SPACE = ConfigSpace("digits", max_params=50_000)


def quick(**settings: object) -> XGBoostEvaluator:
    return XGBoostEvaluator(**{"folds": 3, "rounds": 30, "bootstrap": 100, "method": "regressor"} | settings)


def of_other_chip(results: pd.DataFrame) -> pd.DataFrame:
    """Return results of a chip that drifts more: the same order, other figures."""
    lost = 100 - results["acc_1d"]
    return results.assign(
        acc_1d=(100 - 2 * lost).clip(0, 100), avm=3 * results["avm"] + 1, acc_1d_std=2 * results["acc_1d_std"]
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluator of a chip, fitted on 200 architectures."""
    architectures = SPACE.sample(200, seed=1)
    folder = tmp_path_factory.mktemp("first") / "evaluator"
    quick(report=False, rounds=60).fit(architectures, synthetic_results(architectures).assign(hardware="first")).save(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def started(first: Path) -> XGBoostEvaluator:
    """One of another chip that starts from it, with twelve architectures."""
    few = SPACE.sample(12, seed=23)
    return quick(prior=first).fit(few, of_other_chip(synthetic_results(few)).assign(hardware="second"))


def test_a_dozen_architectures_of_another_chip_are_enough(started: XGBoostEvaluator):
    few, unseen = SPACE.sample(12, seed=23), SPACE.sample(150, seed=3)
    truth = of_other_chip(synthetic_results(unseen))
    alone = quick(report=False).fit(few, of_other_chip(synthetic_results(few)))
    for target in TARGETS:
        measured = truth[target].to_numpy()
        ours, theirs = (known.predict(unseen)[target].to_numpy() for known in (started, alone))
        assert kendall_tau(measured, ours) > kendall_tau(measured, theirs) + 0.02
        assert np.abs(measured - ours).mean() < np.abs(measured - theirs).mean()
    assert started.context_.hardware == "second"
    held = started.predict(unseen)
    assert (held["acc_1d_low"] <= held["acc_1d"]).all()


def test_what_the_prior_has_seen_is_no_news(started: XGBoostEvaluator, first: Path):
    few, unseen = SPACE.sample(12, seed=23), SPACE.sample(60, seed=3)
    alone = quick(report=False).fit(few, of_other_chip(synthetic_results(few)))
    assert (started.look(unseen)[1] <= alone.look(unseen)[1]).all()
    assert (started.look(unseen)[1] <= read_prior(first, SPACE.name).look(unseen)[1]).all()
    assert started.look(unseen)[1].mean() < alone.look(unseen)[1].mean()


def test_what_the_prior_learned_from_it_says_as_if_unseen(tmp_path: Path):
    architectures = SPACE.sample(40, seed=9)
    results = synthetic_results(architectures)
    known = quick().fit(architectures, results)
    known.save(tmp_path / "known")
    prior = Prior(known)
    told, _ = prior.look(architectures)
    scale = known.model_.targets["avm"].scale
    unseen = known.out_of_fold_.set_index("id")["avm"].groupby("id").mean()
    expected = [unseen[architecture.id] for architecture in architectures]
    np.testing.assert_allclose(scale.inverse(told[:, 1]), expected, rtol=1e-4, atol=1e-4)
    by_heart = known.predict(architectures)["avm"].to_numpy()
    assert np.abs(by_heart - results["avm"]).mean() < 0.9 * np.abs(scale.inverse(told[:, 1]) - results["avm"]).mean()
    others = SPACE.sample(5, seed=10)
    np.testing.assert_allclose(scale.inverse(prior.look(others)[0][:, 1]), known.predict(others)["avm"], rtol=1e-4)


def test_it_is_stored_with_its_prior_and_needs_the_first_folder_no_more(
    started: XGBoostEvaluator, first: Path, tmp_path: Path
):
    unseen = SPACE.sample(20, seed=4)
    started.save(tmp_path / "made")
    assert file_digest(tmp_path / "made" / "prior") == file_digest(first)
    loaded = XGBoostEvaluator.load(tmp_path / "made")
    pd.testing.assert_frame_equal(loaded.predict(unseen), started.predict(unseen))
    loaded.save(tmp_path / "again")
    assert file_digest(tmp_path / "again") == file_digest(tmp_path / "made")
    few = SPACE.sample(12, seed=23)
    anew = clone(loaded).fit(few, of_other_chip(synthetic_results(few)).assign(hardware="second"))
    pd.testing.assert_frame_equal(anew.predict(unseen), started.predict(unseen))
    (tmp_path / "made" / "prior" / "anchors.npy").write_bytes(b"")
    with pytest.raises(CorruptFileError, match=r"anchors\.npy is damaged"):
        XGBoostEvaluator.load(tmp_path / "made")


def test_a_prior_of_a_prior_is_kept(started: XGBoostEvaluator, tmp_path: Path):
    started.save(tmp_path / "second")
    few = SPACE.sample(10, seed=5)
    third = quick(prior=tmp_path / "second", report=False).fit(few, synthetic_results(few))
    third.save(tmp_path / "third")
    unseen = SPACE.sample(10, seed=6)
    pd.testing.assert_frame_equal(XGBoostEvaluator.load(tmp_path / "third").predict(unseen), third.predict(unseen))


def test_its_features_are_explained(started: XGBoostEvaluator):
    asked = SPACE.sample(5, seed=7)
    names = started.feature_names()
    assert names[-3:] == NAMES
    assert started.features(asked).shape == (5, len(names))
    told = started.explain(asked)["acc_1d"]
    sums = told.base_on_scale + told.on_scale.sum(axis=1)
    scale = started.model_.targets["acc_1d"].scale
    np.testing.assert_allclose(scale.inverse(sums), started.predict(asked)["acc_1d"], rtol=1e-5)
    assert np.abs(told.points[:, names.index("prior_acc_1d")]).max() > 0


def test_without_a_prior_nothing_is_other_than_it_was(first: Path):
    assert "prior" not in (first / "schema.json").read_text()


def test_the_packaged_surrogate_is_a_prior():
    few = SPACE.sample(8, seed=8)
    fitted = quick(prior=PACKAGED, report=False).fit(few, synthetic_results(few))
    assert fitted.prior_ is not None
    with pytest.raises(InputError, match="No evaluator is packaged for the space 'resnet-kws"):
        read_prior(PACKAGED, "resnet-kws-1x49x10-10")


def test_a_prior_of_another_space_is_refused(first: Path):
    others = ConfigSpace("CIFAR-10", max_params=50_000).sample(8, seed=1)
    with pytest.raises(MismatchError, match="resnet-digits"):
        quick(prior=first).fit(others, synthetic_results(others))


def test_a_folder_without_an_evaluator_is_refused(tmp_path: Path):
    few = SPACE.sample(8, seed=8)
    with pytest.raises(CorruptFileError, match="holds no evaluator"):
        quick(prior=tmp_path / "nothing").fit(few, synthetic_results(few))
