"""What every evaluator has to satisfy, as a class of tests.

Subclass it in a test module and return your unfitted evaluator from ``make``::

    class TestMine(EvaluatorConformance):
        def make(self):
            return MyEvaluator()

It is fitted several times on few rows, so let ``make`` return a quick setting. Needs pytest.
"""

# ruff: noqa: D102 - the names of the tests are their documentation

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from analognas.errors import CorruptFileError, InputError, MismatchError, NotFittedError, WorkspaceError
from analognas.evaluators.columns import COLUMNS, LIMITS, TARGETS
from analognas.evaluators.metrics import kendall_tau
from analognas.files import digest, file_digest
from analognas.search_spaces.config_space import ConfigSpace
from analognas.seeds import numpy_generator

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces.architecture import Architecture

_ROWS = 30
_CONTEXT = {"dataset": "digits-1", "hardware": "chip-1", "protocol": "v1"}

# A fit is the slow part: one per class of tests.
_FITTED: dict[type, Evaluator] = {}


def synthetic_results(architectures: Sequence[Architecture], seed: int = 0, noise: float = 0.3) -> pd.DataFrame:
    """Return made-up results that behave like measured ones, one row per architecture.

    On the logit scale the accuracy after one day grows with the logarithms of mean fan-in and width and falls
    with the depth that has no way around it. Loss and spread grow where the accuracy is low. All three have
    noise of their own (standard deviation ``noise`` on the logit or logarithmic scale), drawn for the
    architecture and ``seed``: another seed is another measurement of the same networks.
    """
    rows = []
    for architecture in architectures:
        rng = numpy_generator(seed, "synthetic_results", architecture.id)
        layers = architecture.structure.layers
        fan_in = float(np.mean([np.log2(layer.rows) for layer in layers]))
        width = float(np.log2(np.mean(architecture.structure.widths)))
        quality = 0.9 * (fan_in - 5) + 0.5 * (width - 3) - 0.05 * (architecture.structure.shortest_path - 2)
        accuracy, loss, spread = noise * rng.standard_normal(3)
        rows.append(
            {
                "id": architecture.id,
                "status": "ok",
                "acc_1d": 100 / (1 + np.exp(-(1 + quality + accuracy))),
                "avm": np.exp(1.5 - 0.5 * quality + loss) - 0.5,
                "acc_1d_std": np.exp(1 - 0.5 * quality + spread),
            }
        )
    return pd.DataFrame(rows)


class EvaluatorConformance(ABC):
    """Tests of fitting, predicting, storing and refusing."""

    @abstractmethod
    def make(self) -> Evaluator:
        """Return the evaluator that is tested, not fitted."""

    @pytest.fixture
    def space(self) -> ConfigSpace:
        """Return the space of the architectures; override it if the evaluator is for another one."""
        return ConfigSpace("digits", name="conformance", max_params=50_000)  # no surrogate is packaged for it

    @pytest.fixture
    def architectures(self, space: ConfigSpace) -> list[Architecture]:
        """Return the measured architectures."""
        return space.sample(_ROWS, seed=1)

    @pytest.fixture
    def unseen(self, space: ConfigSpace) -> list[Architecture]:
        """Return architectures, most of which were not measured."""
        return space.sample(60, seed=2)

    @pytest.fixture
    def results(self, architectures: list[Architecture]) -> pd.DataFrame:
        """Return what was measured."""
        return synthetic_results(architectures).assign(**_CONTEXT)

    @pytest.fixture
    def fitted(self, architectures: list[Architecture], results: pd.DataFrame) -> Evaluator:
        """Return the evaluator after a fit; do not change it."""
        if type(self) not in _FITTED:
            _FITTED[type(self)] = self.make().fit(architectures, results)
        return _FITTED[type(self)]

    # fit

    def test_fit_returns_self_and_leaves_its_arguments_alone(
        self, architectures: list[Architecture], results: pd.DataFrame
    ) -> None:
        before, order = results.copy(), [architecture.id for architecture in architectures]
        evaluator = self.make()
        assert evaluator.fit(architectures, results) is evaluator
        pd.testing.assert_frame_equal(results, before)
        assert [architecture.id for architecture in architectures] == order

    def test_the_same_fit_gives_the_same_bytes(
        self, fitted: Evaluator, architectures: list[Architecture], results: pd.DataFrame, tmp_path: Path
    ) -> None:
        fitted.save(tmp_path / "first")
        self.make().fit(architectures, results).save(tmp_path / "second")
        assert file_digest(tmp_path / "first") == file_digest(tmp_path / "second")

    def test_failed_rows_are_left_out(
        self,
        fitted: Evaluator,
        architectures: list[Architecture],
        unseen: list[Architecture],
        results: pd.DataFrame,
    ) -> None:
        failed = results.iloc[:2].copy()
        failed["id"] = [architecture.id for architecture in unseen[:2]]
        failed["status"] = ["diverged", "ok"]
        failed.loc[failed.index[1], "avm"] = np.nan
        evaluator = self.make().fit([*unseen[:2], *architectures], pd.concat([failed, results]))
        pd.testing.assert_frame_equal(evaluator.predict(unseen), fitted.predict(unseen))

    def test_a_constant_target_is_learned_and_not_ranked(
        self, architectures: list[Architecture], results: pd.DataFrame
    ) -> None:
        evaluator = self.make().fit(architectures, results.assign(avm=1.5))
        assert evaluator.predict(architectures)["avm"].to_numpy() == pytest.approx(1.5, abs=0.05)
        digest(evaluator.report_)  # no NaN
        assert evaluator.report_["targets"]["avm"]["kendall_tau"]["value"] is None

    @pytest.mark.parametrize("measured", [0, 7])
    def test_too_few_rows_are_refused(
        self, architectures: list[Architecture], results: pd.DataFrame, measured: int
    ) -> None:
        status = ["ok"] * measured + ["diverged"] * (_ROWS - measured)
        with pytest.raises(InputError, match=f"{measured} of {_ROWS} .* characterize more"):
            self.make().fit(architectures, results.assign(status=status))

    def test_results_that_do_not_fit_are_refused(
        self, architectures: list[Architecture], results: pd.DataFrame
    ) -> None:
        evaluator = self.make()
        with pytest.raises(InputError, match="one row for each"):
            evaluator.fit(architectures[1:], results)
        with pytest.raises(InputError, match="row 0 is of"):
            evaluator.fit(architectures[::-1], results)
        with pytest.raises(InputError, match="'avm'"):
            evaluator.fit(architectures, results.drop(columns="avm"))
        with pytest.raises(InputError, match="acc_1d = 101"):
            evaluator.fit(architectures, results.assign(acc_1d=101.0))
        with pytest.raises(MismatchError, match="several values of hardware"):
            evaluator.fit(architectures, results.assign(hardware=["a", *["b"] * (_ROWS - 1)]))
        with pytest.raises(MismatchError, match="several values of space"):
            evaluator.fit(architectures, results.assign(space="another"))

    # predict

    def test_predictions_have_the_agreed_columns(self, fitted: Evaluator, unseen: list[Architecture]) -> None:
        frame = fitted.predict(unseen)
        assert tuple(frame.columns) == COLUMNS
        assert list(frame["id"]) == [architecture.id for architecture in unseen]
        assert list(frame.index) == list(range(len(unseen)))
        numbers = frame.drop(columns="id")
        assert (numbers.dtypes == np.float64).all()
        assert np.isfinite(numbers.to_numpy()).all()

    def test_predictions_are_possible_and_within_their_intervals(
        self, fitted: Evaluator, unseen: list[Architecture]
    ) -> None:
        frame = fitted.predict(unseen)
        for target in TARGETS:
            least, most = LIMITS[target]
            assert (frame[f"{target}_uncertainty"] >= 0).all()
            assert (frame[f"{target}_low"] >= least).all()
            assert (frame[f"{target}_high"] <= most).all()
            assert (frame[f"{target}_low"] <= frame[target]).all()
            assert (frame[target] <= frame[f"{target}_high"]).all()
            assert (frame[f"{target}_low"] < frame[f"{target}_high"]).all()

    def test_a_prediction_does_not_depend_on_its_company(self, fitted: Evaluator, unseen: list[Architecture]) -> None:
        together = fitted.predict(unseen)
        alone = pd.concat([fitted.predict([architecture]) for architecture in unseen[:5]], ignore_index=True)
        pd.testing.assert_frame_equal(alone, together.head(5), check_exact=True)

    def test_nothing_gives_an_empty_frame(self, fitted: Evaluator) -> None:
        frame = fitted.predict([])
        assert len(frame) == 0
        assert tuple(frame.columns) == COLUMNS

    def test_unseen_architectures_are_ranked(self, fitted: Evaluator, unseen: list[Architecture]) -> None:
        measured, predicted = synthetic_results(unseen, seed=1), fitted.predict(unseen)
        assert kendall_tau(measured["acc_1d"], predicted["acc_1d_score"]) > 0.4
        assert fitted.score(unseen, measured) > 0.4

    def test_value_and_score_agree_on_the_order(self, fitted: Evaluator, unseen: list[Architecture]) -> None:
        frame = fitted.predict(unseen).sort_values("acc_1d_score")
        assert frame["acc_1d"].is_monotonic_increasing

    # context and report

    def test_the_context_is_that_of_the_results(self, fitted: Evaluator, space: ConfigSpace) -> None:
        fitted.check(space=space.name, **_CONTEXT)
        fitted.check(dataset=None, hardware="")
        for name in ("space", *_CONTEXT):
            with pytest.raises(MismatchError, match=name):
                fitted.check(**{name: "another"})

    def test_architectures_of_another_space_are_refused(
        self, fitted: Evaluator, architectures: list[Architecture], results: pd.DataFrame
    ) -> None:
        foreign = ConfigSpace(input_shape=(1, 9, 9), classes=3).sample(1)
        with pytest.raises(MismatchError, match="space"):
            fitted.predict(foreign)
        with pytest.raises(MismatchError, match="several spaces"):
            self.make().fit([*foreign, *architectures[1:]], results.drop(columns="id"))

    def test_the_report_is_plain_data(self, fitted: Evaluator) -> None:
        assert json.loads(json.dumps(fitted.report_, allow_nan=False)) == fitted.report_
        for target in TARGETS:
            metrics = fitted.report_["targets"][target]
            for estimate in (metrics["kendall_tau"], metrics["spearman"], metrics["rmse"], metrics["coverage"]):
                low, value, high = estimate["low"], estimate["value"], estimate["high"]
                assert None not in (low, value, high)
                assert sorted((low, value, high)) == [low, value, high]  # type: ignore[type-var]  # as was just seen

    # store

    def test_a_stored_evaluator_predicts_the_same(
        self, fitted: Evaluator, unseen: list[Architecture], tmp_path: Path
    ) -> None:
        fitted.save(tmp_path / "evaluator")
        loaded = type(fitted).load(tmp_path / "evaluator")
        pd.testing.assert_frame_equal(loaded.predict(unseen), fitted.predict(unseen), check_exact=True)
        assert loaded.context_ == fitted.context_
        assert loaded.report_ == fitted.report_
        loaded.save(tmp_path / "again")
        assert file_digest(tmp_path / "again") == file_digest(tmp_path / "evaluator")

    def test_an_evaluator_takes_the_place_of_an_evaluator_and_of_nothing_else(
        self, fitted: Evaluator, tmp_path: Path
    ) -> None:
        place = tmp_path / "evaluator"
        place.mkdir()
        for _ in range(2):
            fitted.save(place)
        whole = file_digest(place)
        (place / "notes").write_text("mine")
        with pytest.raises(WorkspaceError, match="notes"):
            fitted.save(place)
        assert (place / "notes").read_text() == "mine"
        (place / "notes").rename(tmp_path / "notes")
        with pytest.raises(WorkspaceError, match="notes"):
            fitted.save(tmp_path / "notes")
        assert (tmp_path / "notes").read_text() == "mine"
        assert file_digest(place) == whole
        assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluator", "notes"]

    def test_nothing_stored_is_a_pickle(self, fitted: Evaluator, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        for file in (path for path in tmp_path.rglob("*") if path.is_file()):
            # Every pickle of protocol 2 or later, also of a part of the file, begins so and ends with a stop.
            content = file.read_bytes()
            assert not (content[:1] == b"\x80" and content[-1:] == b"."), file
            assert file.suffix not in {".pkl", ".pickle", ".joblib"}

    def test_every_damaged_or_missing_file_is_named(self, fitted: Evaluator, tmp_path: Path) -> None:
        fitted.save(tmp_path)
        files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
        # All kinds of files, one of each folder.
        for file in {path.parent: path for path in files}.values():
            content = file.read_bytes()
            for damage in (content[: len(content) // 2], b"", content.replace(b"e", b"f", 1) + b" "):
                file.write_bytes(damage)
                with pytest.raises(CorruptFileError, match=file.name):
                    type(fitted).load(tmp_path)
            file.unlink()
            with pytest.raises(CorruptFileError, match=file.name):
                type(fitted).load(tmp_path)
            file.write_bytes(content)
        type(fitted).load(tmp_path)

    def test_a_folder_of_something_else_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFileError, match="nowhere"):
            type(self.make()).load(tmp_path / "nowhere")
        with pytest.raises(CorruptFileError, match="missing"):
            type(self.make()).load(tmp_path)

    # not fitted

    def test_an_unfitted_evaluator_names_the_remedy(self, architectures: list[Architecture], tmp_path: Path) -> None:
        evaluator = self.make()
        with pytest.raises(NotFittedError, match="fit"):
            evaluator.predict(architectures)
        with pytest.raises(NotFittedError, match="fit"):
            evaluator.save(tmp_path / "evaluator")
        with pytest.raises(NotFittedError, match="fit"):
            evaluator.check(space="conformance")
        assert not (tmp_path / "evaluator").exists()
