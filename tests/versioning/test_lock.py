from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas.errors import CorruptFileError
from analognas.versioning.lock import Lock


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def stages() -> dict[str, Any]:
    """Two stages: one writes a table, the other a folder from it."""
    table = {"path": "data/table", "md5": md5("abc")}
    return {
        "sample": {
            "cmd": "true",
            "params": {"params.yaml": {"base.seed": 0}, "data/environment.json": {"torch": "2"}},
            "outs": [table],
        },
        "fit": {"cmd": "true", "deps": [table], "outs": [{"path": "data/evaluator", "md5": md5("folder") + ".dir"}]},
    }


def write(root: Path, entries: Any) -> Lock:
    with (root / "dvc.lock").open("w") as file:
        YAML(typ="safe").dump({"schema": "2.0", "stages": entries}, file)
    return Lock(root)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    """Return the lock of a workspace in which both stages have run."""
    (tmp_path / "data" / "evaluator").mkdir(parents=True)
    (tmp_path / "data" / "table").write_text("abc")
    return write(tmp_path, stages())


def test_a_stage_is_recorded_while_its_files_are_those(lock: Lock):
    for stage in ("sample", "fit"):
        assert lock.recorded_hash(stage) == lock.stage_hash(stage) is not None
    (lock.root / "data" / "table").write_text("abd")
    assert lock.recorded_hash("sample") is None
    assert lock.stage_hash("sample") is not None
    (lock.root / "data" / "table").unlink()
    assert lock.recorded_hash("sample") is None
    assert lock.recorded_hash("fit") is not None  # of an input only what was recorded counts
    (lock.root / "data" / "evaluator").rmdir()
    (lock.root / "data" / "evaluator").touch()
    assert lock.recorded_hash("fit") is None


def test_where_but_some_files_are_kept_these_are_looked_at(lock: Lock):
    (lock.root / "data" / "evaluator").rmdir()
    assert lock.kept_hash("fit") == lock.stage_hash("fit")
    (lock.root / "data" / "table").unlink()
    assert lock.kept_hash("sample") == lock.stage_hash("sample")
    (lock.root / "data" / "table").write_text("abd")
    assert lock.kept_hash("sample") is None


def test_a_stage_that_saw_another_input_is_not_recorded(lock: Lock):
    changed = stages()
    changed["sample"]["outs"] = [{"path": "data/table", "md5": md5("other")}]
    (lock.root / "data" / "table").write_text("other")
    write(lock.root, changed)
    assert lock.recorded_hash("sample") is not None
    assert lock.recorded_hash("fit") is None
    changed["fit"]["deps"] = changed["sample"]["outs"]
    assert write(lock.root, changed).recorded_hash("fit") is not None


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"params": {"params.yaml": {"base.seed": 1}}}, True),
        ({"deps": [{"path": "data/x", "md5": "0" * 32}]}, True),
        ({"outs": [{"path": "data/table", "md5": "0" * 32}]}, True),
        ({"cmd": "false"}, False),
    ],
)
def test_the_hash_is_that_of_parameters_inputs_and_outputs(lock: Lock, change: dict[str, Any], other: bool):
    before = [lock.stage_hash(stage) for stage in ("sample", "fit")]
    changed = stages()
    changed["sample"] |= change
    write(lock.root, changed)
    assert (lock.stage_hash("sample") != before[0]) is other
    assert lock.stage_hash("fit") == before[1]


def test_parameters_of_other_files_have_their_name(lock: Lock):
    assert lock.stage_params("sample") == {"base.seed": 0, "environment.torch": "2"}
    assert lock.stage_params("fit") is None
    assert lock.stage_params("train") is None


def test_data_has_the_hash_of_who_wrote_it(lock: Lock):
    changed = stages()
    changed["fit"]["deps"] = [{"path": "data/table", "md5": "0" * 32}, {"path": "data/given", "md5": "1" * 32}]
    write(lock.root, {"fit": changed["fit"], "sample": changed["sample"]})
    assert lock.data_hash(Path("data/table")) == lock.data_hash(lock.root / "data" / "table") == md5("abc")
    assert lock.data_hash(Path("data/given")) == "1" * 32
    assert str(lock.data_hash(Path("data/evaluator"))).endswith(".dir")
    assert lock.data_hash(Path("data/nothing")) is None


def test_without_a_file_nothing_is_recorded(tmp_path: Path):
    lock = Lock(tmp_path)
    assert lock.stages() == {}
    assert (lock.stage_hash("fit"), lock.recorded_hash("fit"), lock.data_hash(Path("data/table"))) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "stages: [", "[]", "", "stages:", "stages: {fit: 3}", "stages: {fit: {cmd: x}}",
        "stages: {fit: {outs: [{path: a, md5: 0123}]}}", "stages: {fit: {outs: [{path: a}]}}",
        "stages: {fit: {outs: [{md5: 0123456789abcdef0123456789abcdef}]}}", "\x00",
    ],
)  # fmt: skip
def test_a_file_that_is_not_whole_is_named_with_the_remedy(tmp_path: Path, text: str):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(
        CorruptFileError, match=r"dvc\.lock is damaged: restore it from git, or delete it and run again"
    ):
        Lock(tmp_path).stages()
