from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from analognas.errors import ParamsError
from analognas.params import Params
from analognas.params.file import Draft, override
from analognas.params.overrides import parse
from analognas.params.personal import FILE
from analognas.setup.template import source


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text("run:\n  workers: 4\n  experiment: team\n")
    return path


def test_the_own_file_wins_over_the_shared_one_and_the_environment_over_both(
    params: Path, monkeypatch: pytest.MonkeyPatch
):
    shared = params.read_bytes()
    assert Params.load(params).run.experiment == "team"
    params.with_name(FILE).write_text("run:\n  experiment: anna\n  runner: serial\n")
    run = Params.load(params).run
    assert (run.workers, run.experiment, run.runner) == (4, "anna", "serial")
    monkeypatch.setenv("ANALOGNAS_RUN_EXPERIMENT", "08")  # text stays text
    monkeypatch.setenv("ANALOGNAS_RUN_WORKERS", "2")
    monkeypatch.setenv("ANALOGNAS_RUN_ADDRESS", "")  # of a variable of the shell that is not set
    run = Params.load(params).run
    assert (run.workers, run.experiment, run.runner, run.address) == (2, "08", "serial", None)
    draft = Draft(params)
    draft.assign(parse(["base.seed=3"]))
    assert draft.save().run == run
    assert b"anna" not in params.read_bytes()
    assert params.read_bytes().startswith(shared)  # nothing of it is written into what is shared


def test_nothing_but_the_section_run_can_be_ones_own(params: Path):
    before = Params.load(params)
    params.with_name(FILE).write_text("run: {workers: 1, runner: serial, address: null, experiment: x}\n")
    now = Params.load(params)
    assert now.model_dump(exclude={"run"}) == before.model_dump(exclude={"run"})
    params.with_name(FILE).write_text("base: {seed: 3}\n")
    with pytest.raises(ParamsError, match=r"may hold the section run and nothing else.*into params.yaml\.$"):
        Params.load(params)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANALOGNAS_RUN_WORKERS", "none", "ANALOGNAS_RUN_WORKERS: run.workers is 'none'"),
        ("ANALOGNAS_RUN_WORKERS", "0", "ANALOGNAS_RUN_WORKERS: run.workers is 0"),
        ("ANALOGNAS_RUN_RUNNER", "threads", "set processes, serial, dask or ray"),
        ("ANALOGNAS_RUN_ADDRESS", "nowhere", "must name host and port"),
        ("ANALOGNAS_RUN_EXPERIMNT", "x", "sets no parameter: did you mean 'ANALOGNAS_RUN_EXPERIMENT'?"),
    ],
)
def test_what_is_wrong_is_said_of_the_variable(params: Path, monkeypatch, name: str, value: str, message: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(ParamsError, match=re.escape(message)):
        Params.load(params)


@pytest.mark.parametrize("text", ["run: 3\n", "3\n", "run: {workers: many}\n", "run: {workres: 1}\n", "run: [\n"])
def test_what_is_wrong_is_said_of_the_file(params: Path, text: str):
    params.with_name(FILE).write_text(text)
    with pytest.raises(ParamsError, match=re.escape(FILE)):
        Params.load(params)


def test_what_would_have_no_effect_is_refused(params: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANALOGNAS_RUN_EXPERIMENT", "anna")
    before = params.read_bytes()
    with pytest.raises(ParamsError, match=r"run.experiment is set by ANALOGNAS_RUN_EXPERIMENT, which wins over"):
        override(params, ["run.experiment=team-2"])
    assert params.read_bytes() == before
    assert override(params, ["run.workers=2"]).run.workers == 2


def test_git_ignores_the_file_in_a_workspace(tmp_path: Path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_bytes((source() / ".gitignore").read_bytes())
    asked = subprocess.run(["git", "check-ignore", FILE], cwd=tmp_path, check=False, capture_output=True)
    assert asked.returncode == 0


def test_a_temporary_experiment_of_dvc_runs_as_the_person_runs(params: Path):
    params.with_name(FILE).write_text("run: {runner: serial}\n")
    copy = params.parent / ".dvc" / "tmp" / "exps" / "one"
    (copy / ".git").mkdir(parents=True)
    (copy / "params.yaml").write_bytes(params.read_bytes())
    assert Params.load(copy / "params.yaml").run.runner == "serial"
