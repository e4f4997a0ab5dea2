from pathlib import Path

import pytest

from analognas.errors import CorruptFileError
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.versioning.pipeline import declared


def test_what_stages_read_and_write_is_what_dvc_yaml_says():
    root = source()
    reads, writes = declared(root, "fit")
    assert [path.relative_to(root).as_posix() for path in reads] == [
        "data/architectures.parquet",
        "data/rounds",
        "data/surrogate.parquet",
    ]
    assert root / "data" / "evaluator" in writes
    assert all(declared(root, stage)[1] for stage in STAGES)


def test_outputs_with_options_are_outputs(tmp_path: Path):
    (tmp_path / "dvc.yaml").write_text("stages:\n  own:\n    outs:\n      - a\n      - b: {cache: false}\n")
    assert declared(tmp_path, "own") == ([], [tmp_path / "a", tmp_path / "b"])
    assert declared(tmp_path, "other") == ([], [])


@pytest.mark.parametrize("text", [None, "stages: [", "stages:\n  fit: 1\n", "nothing", "{}"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str | None):
    if text is not None:
        (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(CorruptFileError, match=r"dvc\.yaml is (damaged|missing).*: restore it from git"):
        declared(tmp_path, "fit")
