import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas.cli import group, main
from analognas.errors import AnalogNASWarning
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["run", "stage", "report", "init", "doctor", "datasets", "spaces", "hardware"])
def test_every_command_explains_itself(command: str):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


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
