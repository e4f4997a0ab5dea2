from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from analognas.params import Params
from analognas.params.file import override
from analognas.runs.parameters import recorded
from analognas.workspace import Paths


def test_what_dvc_recorded_counts_and_not_what_the_file_says_now(past: Paths):
    override(past.params, ["train.epochs=7", "run.workers=3"])
    params = recorded(past.root)
    assert params["train"]["epochs"] == 30
    assert params["dataset"]["name"] == "digits"
    assert params["train"]["repeats"] == Params().train.repeats
    assert not {"run", "retrain"} & set(params)
    (past.root / "dvc.lock").unlink()
    assert recorded(past.root)["train"]["epochs"] == 7


def test_parameters_of_another_version_are_what_is_still_known(past: Paths, histories: Any):
    histories.stand(past, histories.figures(), "train.epochs=11")
    lock = past.root / "dvc.lock"
    lock.write_text(re.sub(r"( +)epochs: 11\n", r"\1epochs: 11\n\1gone: 4\n", lock.read_text()))
    assert recorded(past.root)["train"]["epochs"] == 11
    assert recorded(past.root)["train"]["gone"] == 4


def test_damaged_files_say_nothing(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("{")
    assert recorded(tmp_path) == {}
