import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas import orchestration
from analognas.cli import group, main, pipeline
from analognas.errors import AnalogNASWarning
from analognas.orchestration import sessions
from analognas.workspace import Paths, alone


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def inside(workspace: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.chdir(workspace.root)
    return workspace


@pytest.mark.parametrize("command", ["run", "stage", "report", "init", "doctor", "datasets", "spaces", "hardware"])
def test_every_command_explains_itself(command: str):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


def test_a_stage_writes_its_files_and_its_summary_as_json(inside: Paths):
    result = call("stage", "sample", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(inside.metrics("sample").read_text())
    assert inside.architectures.exists()


def _damage_dataset(paths: Paths) -> None:
    paths.dataset.write_text("{")


def _mistype(paths: Paths) -> None:
    paths.params.write_text(paths.params.read_text().replace("population_size", "populaton_size"))


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (None, ("stage", "smaple"), "There is no stage 'smaple'"),
        (None, ("run", "--set", "search.populaton_size=3"), "did you mean search.population_size?"),
        (None, ("run", "--set", "search.population_size=0"), "search.population_size is 0"),
        (None, ("run", "--dataset", "digitz"), "digits"),
        (None, ("run", "--dataset", "image-folder", "--path", "/nowhere"), "/nowhere"),
        (None, ("report",), "`analognas run` writes it"),
        (None, ("run", "--max-params", "10"), "smallest"),
        (None, ("run", "--max-params", ""), "--max-params is empty: give a value, or leave it out."),
        (None, ("run", "--set", "search.optimizer=ea_optimised"), "ea_optimized"),
        (_mistype, ("stage", "sample"), "did you mean search.population_size?"),
        (_damage_dataset, ("stage", "sample"), "dataset.json is damaged"),
        (None, ("stage", "fit"), "run `analognas stage characterize`"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(inside: Paths, spoil, arguments, message):
    if spoil:
        spoil(inside)
    before = {path: path.read_bytes() for path in inside.root.rglob("*") if path.is_file()}
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stderr.startswith("analognas: ")
    assert result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in inside.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stage", "smaple", "--json"), "There is no stage 'smaple'"),
        (("run", "--json", "--dataset", "digitz"), "digits"),
        (("init", "--json"), "TARGET"),
    ],
)
def test_bad_input_is_told_in_json_to_who_asks_for_it(inside: Paths, arguments: tuple[str, ...], message: str):
    result = call(*arguments)
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert message in found["error"]
    assert found["exit_code"] == 2
    assert result.stderr
    assert call(*(one for one in arguments if one != "--json")).stdout == ""


def test_outside_of_a_workspace_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = call("run")
    assert result.exit_code == 2
    assert "analognas init" in result.stderr


def test_datasets_and_spaces_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = {entry["name"] for entry in json.loads(call("datasets", "--json").stdout)}
    assert {"digits", "cifar10", "image-folder"} <= names
    assert "digits" in call("datasets").output
    spaces = json.loads(call("spaces", "--json").stdout)
    assert "resnet-digits" in {space["name"] for space in spaces}


def test_chips_are_listed_with_their_source_and_who_computes_them():
    rows = {row["name"]: row for row in json.loads(call("hardware", "--json").stdout)}
    assert rows["analognas-bench"]["layers"] == "fast"
    assert rows["analognas-512"]["tile_size"] == 512
    assert rows["analognas-512"]["slow"] == "forward.noise_management ABS_MAX"
    assert all(row["source"] and row["note"] for row in rows.values())
    assert "reram-cmo" in call("hardware").output


def test_the_space_of_a_workspace_is_shown_with_its_ranges(inside: Paths):
    assert call("stage", "sample", "--json").exit_code == 0
    (space,) = json.loads(call("spaces", "--json").stdout)
    assert space["name"] == "resnet-digits"
    assert "out_channel0" in call("spaces").output


def test_doctor_finds_this_environment_well():
    result = call("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert all(finding["ok"] for finding in findings.values() if finding["needed"])
    assert {"python", "torch", "aihwkit", "requirements", "layers", "compiled tiles"} <= set(findings)


def test_doctor_records_versions_and_dataset_anew(inside: Paths):
    truth = inside.environment.read_bytes()
    inside.environment.write_text("{}")
    assert call("doctor", "--update").exit_code == 0
    assert inside.environment.read_bytes() == truth


def test_the_report_shows_winner_and_baseline(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    text = call("report").output
    for part in ("winner", "plain residual network", "after 1 month", "AVM", "Kendall tau", "MLflow", "Prefect"):
        assert part in text
    assert "Chip analognas-bench, tiles of 256 x 256\n" in text
    found = json.loads(call("report", "--json").stdout)
    assert found["winner"]["params"] <= 3_000
    assert found["baseline"]["acc_1d"] >= 0
    assert found["hardware"]["tile_size"] == 256


def test_an_interrupted_run_says_what_becomes_of_it(inside: Paths, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("analognas.stages.run_stage", interrupt)
    result = call("stage", "sample")
    assert result.exit_code == 1
    assert result.stderr.strip() == "analognas: interrupted; what was finished is kept, run again to go on."


@pytest.mark.parametrize("arguments", [("frobnicate",), ("run", "--nope"), ("stage",)])
def test_what_is_no_command_is_bad_input(inside: Paths, arguments: tuple[str, ...]):
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_stage_is_refused_while_a_run_works_in_the_workspace(inside: Paths):
    with alone(inside):
        result = call("stage", "sample")
    assert result.exit_code == 2
    assert result.stderr.startswith("analognas: Another run works in")
    assert not inside.architectures.exists()


def test_what_the_user_should_know_of_a_run_is_told(inside: Paths, monkeypatch: pytest.MonkeyPatch):
    def run(*_: object, **__: object) -> sessions.RunReport:
        return sessions.RunReport(ran=(), skipped=(), logged=(), notes=("MLflow is away.", "Another note."))

    monkeypatch.setattr(orchestration, "run_pipeline", run)
    monkeypatch.setattr(pipeline, "_report", lambda *_: None)
    result = call("run", "--json")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-2:] == ["analognas: MLflow is away.", "analognas: Another note."]


def test_a_warning_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    others: list[str] = []
    monkeypatch.setattr(group, "_show_warning", lambda message, *_: others.append(str(message)))
    monkeypatch.setattr(warnings, "showwarning", None)
    call("doctor", "--help")
    shown: Any = warnings.showwarning  # what a command says from then on
    shown(AnalogNASWarning("data/x is damaged."), AnalogNASWarning, "file.py", 1)
    shown(UserWarning("some library's"), UserWarning, "file.py", 1)
    assert capsys.readouterr().err == "analognas: data/x is damaged.\n"
    assert others == ["some library's"]
