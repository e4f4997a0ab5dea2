import shutil

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, InputError, MismatchError, ParamsError
from analognas.evaluators import XGBoostEvaluator
from analognas.files import file_digest, read_sealed, write_parquet
from analognas.params import Params
from analognas.params.file import override
from analognas.setup.preparing import prepare
from analognas.stages import identity, inputs, run_stage
from analognas.workspace import Paths


def test_the_evaluator_predicts_the_sample_and_knows_what_it_is_for(finished: Paths):
    params = Params.load(finished.params)
    evaluator = XGBoostEvaluator.load(finished.evaluator)
    predictions = evaluator.predict(inputs.architectures(params, finished))
    assert len(predictions) == 10
    evaluator.check(dataset=identity.dataset_id(finished), protocol=identity.protocol_id(params.characterize))
    with pytest.raises(MismatchError):
        evaluator.check(dataset="cifar10-x")


def test_metrics_are_out_of_fold_with_intervals_over_all_architectures(finished: Paths):
    report = read_sealed(finished.metrics("fit"), remedy="")
    assert report["architectures"] + report["left_out"] == 10
    for target in ("acc_1d", "avm", "acc_1d_std"):
        for metric in ("kendall_tau", "spearman", "rmse", "coverage"):
            assert {"value", "low", "high"} <= set(report["targets"][target][metric])


def test_the_same_results_give_the_same_bytes(finished_copy: Paths):
    before = file_digest(finished_copy.evaluator)
    run_stage("fit", Params.load(finished_copy.params), finished_copy)
    assert file_digest(finished_copy.evaluator) == before
    run_stage("fit", override(finished_copy.params, ["base.seed=0", "fit.folds=4"]), finished_copy)
    assert file_digest(finished_copy.evaluator) != before


def test_it_starts_from_an_evaluator_of_another_chip(finished_copy: Paths, finished: Paths):
    shutil.copytree(finished.evaluator, finished_copy.root / "first")
    params = override(finished_copy.params, ["fit.prior=first"])
    with pytest.raises(MismatchError, match=r"records prior none, here it is [0-9a-f]{12}: .*doctor --update"):
        run_stage("fit", params, finished_copy)
    prepare(finished_copy)
    report = run_stage("fit", params, finished_copy)
    prior = XGBoostEvaluator.load(finished_copy.evaluator).prior_
    assert prior is not None
    assert report["prior"] == read_sealed(finished_copy.metrics("fit"), remedy="")["prior"] == prior.told
    assert report["prior"]["hardware"] == identity.hardware_id(params.hardware)
    assert file_digest(finished_copy.evaluator / "prior") == file_digest(finished.evaluator)
    run_stage("search", params, finished_copy)
    (finished_copy.root / "first" / "other").touch()
    with pytest.raises(MismatchError, match="records prior"):
        run_stage("fit", params, finished_copy)


def test_the_packaged_surrogate_is_recorded_by_its_digest(finished_copy: Paths):
    params = prepare(finished_copy, {"fit.prior": "packaged"})
    assert read_sealed(finished_copy.environment, remedy="")["prior"].startswith("packaged-")
    assert run_stage("fit", params, finished_copy)["prior"]["architectures"] > 500


def test_a_prior_that_cannot_be_one_is_refused_before_anything_is_written(finished_copy: Paths):
    before = finished_copy.params.read_bytes()
    with pytest.raises(ParamsError, match=r"fit\.prior names nowhere, where no folder is: .* or null"):
        prepare(finished_copy, {"fit.prior": "nowhere"})
    with pytest.raises(ParamsError, match=r"the evaluator 'gaussian_process' starts from nothing"):
        prepare(finished_copy, {"fit.prior": "packaged", "fit.evaluator": "gaussian_process"})
    with pytest.raises(CorruptFileError, match=r"holds no evaluator|is missing"):
        prepare(finished_copy, {"fit.prior": "data"})
    assert finished_copy.params.read_bytes() == before


def test_results_of_other_architectures_are_refused(finished_copy: Paths):
    frame = pd.read_parquet(finished_copy.surrogate)
    sample = pd.read_parquet(finished_copy.architectures)
    write_parquet(finished_copy.architectures, sample.iloc[1:])
    with pytest.raises(InputError, match="neither the sample nor a round"):
        run_stage("fit", Params.load(finished_copy.params), finished_copy)
    for changed, said in (
        ({"id": ["0" * 16, *frame["id"][1:]]}, "row 0 has the id 0000000000000000, its genes are those of"),
        ({"hardware": "another"}, "row 0 has hardware = 'another', not '"),
        ({"acc_1d": frame["acc_1d"].where(frame["status"] != "ok", 1000.0)}, "has acc_1d = 1000, not a number"),
    ):
        write_parquet(finished_copy.surrogate, frame.assign(**changed))
        with pytest.raises(CorruptFileError, match=f"{said}.*analognas stage characterize"):
            run_stage("fit", Params.load(finished_copy.params), finished_copy)


def test_missing_results_name_the_stage_that_writes_them(finished_copy: Paths):
    finished_copy.surrogate.unlink()
    with pytest.raises(CorruptFileError, match="analognas stage characterize"):
        run_stage("fit", Params.load(finished_copy.params), finished_copy)
