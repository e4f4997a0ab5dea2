import hashlib
import json

import numpy as np
import pytest

from analognas.errors import CorruptFileError
from analognas.evaluators import XGBoostEvaluator, storage
from analognas.files import digest
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A ranker with trends beside it, so that every kind of content is there; for reading only."""
    architectures = ConfigSpace("digits", max_params=50_000).sample(24, seed=1)
    results = synthetic_results(architectures, noise=0.05)
    evaluator = XGBoostEvaluator("ranker", folds=2, rounds=5, bootstrap=50).fit(architectures, results)
    path = tmp_path_factory.mktemp("stored") / "evaluator"
    evaluator.save(path)
    return evaluator, path


def test_the_schema_says_what_people_want_to_know(stored):
    evaluator, path = stored
    schema = json.loads((path / "schema.json").read_text())
    assert schema["kind"] == "analognas evaluator: xgboost"
    assert schema["context"]["space"] == "resnet-digits"
    assert schema["features"]["names"] == list(evaluator.schema_.names)
    assert schema["targets"]["acc_1d"]["method"] == "ranker"
    assert schema["targets"]["acc_1d"]["score_map"]["slope"] > 0
    assert schema["targets"]["acc_1d_std"]["trends"][0]["intercept"] is not None
    assert schema["report"] == evaluator.report_
    assert schema["params"] | {"prior": None} == evaluator.get_params()


def test_every_file_is_listed(stored):
    _, path = stored
    schema = json.loads((path / "schema.json").read_text())
    files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    assert files == {"schema.json", *schema["files"]}
    assert "anchors.npy" in files
    assert "avm/09.ubj" in files


def test_loaded_is_stored(stored):
    evaluator, path = stored
    loaded = storage.load(path)
    assert loaded.schema == evaluator.schema_
    for target, model in evaluator.model_.targets.items():
        other = loaded.model.targets[target]
        assert (other.method, other.scale) == (model.method, model.scale)
        assert (other.interval.scores == model.interval.scores).all()
        assert (other.interval.assigned == model.interval.assigned).all()
    assert (loaded.model.novelty.anchors == evaluator.model_.novelty.anchors).all()


def test_arrays_are_never_unpickled(stored, tmp_path):
    evaluator, _ = stored
    evaluator.save(tmp_path)
    np.save(tmp_path / "anchors.npy", np.array([{}], dtype=object), allow_pickle=True)
    schema = json.loads((tmp_path / "schema.json").read_text())
    schema["files"]["anchors.npy"] = hashlib.sha256((tmp_path / "anchors.npy").read_bytes()).hexdigest()
    schema["digest"] = digest({name: value for name, value in schema.items() if name != "digest"})
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(CorruptFileError, match=r"anchors\.npy"):
        storage.load(tmp_path)


def test_a_schema_that_lacks_something_is_refused(stored, tmp_path):
    evaluator, _ = stored
    evaluator.save(tmp_path)
    schema = json.loads((tmp_path / "schema.json").read_text())
    del schema["targets"]["avm"]
    schema["digest"] = digest({name: value for name, value in schema.items() if name != "digest"})
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(CorruptFileError, match=r"schema\.json"):
        storage.load(tmp_path)
