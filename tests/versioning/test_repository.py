import json
import shutil
import subprocess
from pathlib import Path

import pytest

from analognas.errors import CorruptFileError, StageError
from analognas.versioning import Versioning, certainly_stale
from analognas.versioning import repository as versioning

_DVC_YAML = """
stages:
  sample:
    cmd: "true"
    params: [base.seed, data/environment.json: [torch]]
    outs: [data/architectures]
    metrics: [data/metrics/sample.json: {cache: false}]
  fit:
    cmd: "true"
    deps: [data/architectures]
    params: [fit]
    outs: [data/evaluator]
"""
STAGES = ("sample", "fit")


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run_sample(root: Path, text: str) -> None:
    write(root, "data/architectures", text)
    write(root, "data/metrics/sample.json", json.dumps({"architectures": len(text)}))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which two trivial stages have run and are recorded; for reading only."""
    root = tmp_path_factory.mktemp("versioning") / "workspace"
    write(root, "dvc.yaml", _DVC_YAML)
    write(root, "params.yaml", "base: {seed: 0}\nfit: {folds: 5}\n")
    write(root, "data/environment.json", '{"torch": "2.12"}')
    versioning = Versioning.init(root)
    assert versioning is not None
    assert versioning.status(STAGES)["fit"][0] == "input data/architectures: deleted"
    run_sample(root, "abc")
    write(root, "data/evaluator/model.json", "{}")
    for stage in STAGES:
        versioning.commit(stage)
    return root


@pytest.fixture
def repository(recorded: Path, tmp_path: Path) -> Versioning:
    return Versioning(Path(shutil.copytree(recorded, tmp_path / "copy", symlinks=True)))


def test_what_was_committed_is_up_to_date_for_dvc_too(recorded: Path):
    assert Versioning(recorded).status(STAGES) == {"sample": [], "fit": []}
    git = subprocess.run(["git", "status", "--short"], cwd=recorded, capture_output=True, text=True, check=True).stdout
    assert "dvc.lock" in git
    assert not (recorded / ".dvc" / "config").read_text().count("true")
    ignored = subprocess.run(["git", "check-ignore", "data/architectures", "data/evaluator"], cwd=recorded, check=False)
    assert ignored.returncode == 0


def test_a_cache_that_is_gone_is_filled_again_from_files_that_are_whole(repository: Versioning):
    lock = (repository.root / "dvc.lock").read_bytes()
    shutil.rmtree(repository.root / ".dvc" / "cache")
    evaluator = repository.root / "data" / "evaluator" / "model.json"
    evaluator.chmod(0o644)
    evaluator.write_text("[]")
    assert repository.status(STAGES) == {"sample": [], "fit": ["output data/evaluator: not in cache"]}
    evaluator.write_text("{}")
    assert repository.status(STAGES) == {"sample": [], "fit": []}
    (repository.root / "data" / "architectures").unlink()  # it is in the cache again
    shutil.rmtree(repository.root / ".dvc" / "cache")
    assert repository.status(["sample"]) == {"sample": ["output data/architectures: not in cache"]}
    assert (repository.root / "dvc.lock").read_bytes() == lock


def test_init_leaves_a_repository_alone_and_makes_one_of_its_own_inside_git(recorded: Path, tmp_path: Path):
    config = (recorded / ".dvc" / "config").stat().st_mtime_ns
    assert Versioning.init(recorded) is not None
    assert (recorded / ".dvc" / "config").stat().st_mtime_ns == config
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    inner = tmp_path / "inner"
    inner.mkdir()
    assert Versioning.init(inner) is not None
    assert (inner / ".dvc").is_dir()
    assert not (inner / ".git").exists()
    assert not (tmp_path / ".dvc").exists()


def test_outside_of_a_repository_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert Versioning.find(tmp_path) is None
    assert "dvc init" in str(Versioning.problem(tmp_path))
    (tmp_path / ".dvc").mkdir()
    assert "git init" in str(Versioning.problem(tmp_path))
    write(tmp_path, ".dvc/config", "[core]\n    no_scm = true\n")
    assert Versioning.problem(tmp_path) is None
    monkeypatch.setattr("analognas.versioning.repository.importlib.util.find_spec", lambda name: None)
    assert "pip install" in str(Versioning.problem(tmp_path))


def test_reasons_name_what_changed(repository: Versioning):
    write(repository.root, "params.yaml", "base: {seed: 0}\nfit: {folds: 6}\n")
    run_sample(repository.root, "abcd")
    status = repository.status(STAGES)
    assert status["sample"] == ["output data/architectures: modified", "output data/metrics/sample.json: modified"]
    assert status["fit"] == ["input data/architectures: modified", "parameter fit of params.yaml: modified"]
    assert [certainly_stale(status[stage]) for stage in STAGES] == [True, True]


def test_only_an_input_can_become_again_what_it_was():
    assert not certainly_stale([])
    assert not certainly_stale(["input data/architectures: modified"])
    assert certainly_stale(["input data/architectures: modified", "changed command"])


def test_the_hash_of_a_stage_sees_its_params_inputs_and_outputs(repository: Versioning):
    before = {stage: repository.stage_hash(stage) for stage in STAGES}
    assert None not in before.values()
    write(repository.root, "data/environment.json", '{"torch": "2.13"}')
    assert repository.status(["sample"])["sample"] == ["parameter torch of data/environment.json: modified"]
    repository.commit("sample")
    assert repository.stage_hash("sample") != before["sample"]
    assert repository.stage_hash("fit") == before["fit"]
    assert repository.stage_params("sample") == {"base.seed": 0, "environment.torch": "2.13"}


def test_a_stage_is_recorded_only_while_its_files_and_inputs_are_as_written(repository: Versioning):
    root = repository.root
    assert repository.recorded_hash("sample") == repository.stage_hash("sample")
    assert repository.recorded_hash("fit") == repository.stage_hash("fit")
    shutil.rmtree(root / "data" / "evaluator")
    assert repository.recorded_hash("fit") is None
    write(root, "data/evaluator/model.json", "{}")
    run_sample(root, "other")
    assert repository.recorded_hash("sample") is None
    repository.commit("sample")
    assert repository.recorded_hash("sample") is not None
    assert repository.recorded_hash("fit") is None  # it has seen the other architectures
    assert repository.recorded_hash("train") is None


def test_outputs_have_dvcs_hash(recorded: Path):
    versioning = Versioning(recorded)
    assert versioning.data_hash(recorded / "data" / "architectures") == "900150983cd24fb0d6963f7d28e17f72"
    assert str(versioning.data_hash(Path("data/evaluator"))).endswith(".dir")
    assert versioning.data_hash(Path("data/unknown")) is None


def test_what_dvc_complains_of_comes_through_as_one_sentence(repository: Versioning):
    with pytest.raises(StageError, match=r"DVC failed at `commit --force unknown`: .*unknown.*\.$"):
        repository.commit("unknown")


def test_a_damaged_memo_of_dvc_is_named(repository: Versioning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "memo"))
    before = repository.status(STAGES)
    databases = [path for path in (tmp_path / "memo").rglob("*.db") if path.stat().st_size]
    assert databases
    for path in databases:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StageError, match=rf"memo of file hashes is damaged: delete {tmp_path}/memo/repo, .* run again"):
        repository.status(STAGES)
    shutil.rmtree(tmp_path / "memo" / "repo")
    assert repository.status(STAGES) == before


def test_the_memo_of_dvc_is_in_the_workspace_or_where_its_configuration_says(
    repository: Versioning, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    assert versioning._memo(repository.root) == repository.root / ".dvc" / "tmp" / "site" / "repo"
    (repository.root / ".dvc" / "config").write_text("[core]\n    site_cache_dir = /elsewhere\n")
    assert versioning._memo(repository.root) == Path("/elsewhere/repo")


def test_a_damaged_lock_is_named(repository: Versioning):
    for text in ("stages: [", "[]", ""):
        write(repository.root, "dvc.lock", text)
        with pytest.raises(CorruptFileError, match=r"dvc\.lock is damaged"):
            repository.stage_hash("sample")
        with pytest.raises(CorruptFileError, match=r"dvc\.lock is damaged: restore it from git, or delete it"):
            repository.status(STAGES)
    (repository.root / "dvc.lock").unlink()
    assert repository.stage_hash("sample") is None


@pytest.mark.parametrize(
    "end", ["md5: 0123", "size: 3", "md5: 0123456789abcdef0123456789abcdef\n    - path: data/b", ""]
)
def test_a_lock_that_was_cut_off_is_named_though_it_is_yaml(repository: Versioning, end: str):
    entry = f"stages:\n  sample:\n    cmd: x\n    outs:\n    - path: data/a\n      {end}\n"
    write(repository.root, "dvc.lock", entry if end else "stages:\n  sample:\n    cmd: x\n")
    with pytest.raises(CorruptFileError, match=r"dvc\.lock is damaged"):
        repository.recorded_hash("sample")
