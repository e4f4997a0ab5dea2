import json
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from analognas.cli import group, main
from analognas.errors import AnalogNASWarning
from analognas.notices import going_on
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("command", ["run", "stage", "report", "init", "doctor", "datasets", "spaces", "hardware"])
def test_every_command_explains_itself(command: str):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


def test_the_version_is_told_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = call("--version")
    assert (result.exit_code, result.exception) == (0, None), result.output


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
    ("arguments", "kind", "message"),
    [
        (("stage", "smaple", "--json"), "ParamsError", "There is no stage 'smaple'"),
        (("run", "--json", "--dataset", "digitz"), "DatasetError", "digits"),
        (("init", "--json"), "MissingParameter", "TARGET"),
    ],
)
def test_bad_input_is_told_in_json_to_who_asks_for_it(inside: Paths, arguments: tuple[str, ...], kind, message: str):
    result = call(*arguments)
    assert result.exit_code == 2
    told = json.loads(result.stdout)
    assert message in told["error"]
    assert (told["kind"], told["exit_code"]) == (kind, 2)
    assert result.stderr
    assert call(*(word for word in arguments if word != "--json")).stdout == ""


def commands(
    group: click.Group = main, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and what is typed for it."""
    for name, command in group.commands.items():
        typed = (*before, name)
        yield typed, command
        if isinstance(command, click.Group):
            yield from commands(command, typed)


@pytest.mark.parametrize("command", [*commands(), ((), main)], ids=lambda each: "-".join(each[0]) if each else "")
def test_help_fits_80_columns_and_breaks_no_word(command: tuple[tuple[str, ...], click.Command]):
    typed, known = command
    text = CliRunner().invoke(main, [*typed, "--help"], env={"COLUMNS": "80"}).stdout
    assert max(map(len, text.splitlines())) <= 80
    words = set(text.split())
    for param in known.params:
        for option in [*param.opts, *param.secondary_opts]:
            if isinstance(param, click.Option):
                assert any(word.strip(",/[]") == option or option in word.split("/") for word in words), option
    told = " ".join([known.help or "", *(p.help or "" for p in known.params if isinstance(p, click.Option))])
    for word in told.split():
        # click breaks at the hyphens within a word, never at those of an option.
        assert word in text or ("-" in word and not word.lstrip("`(").startswith("-")), word


@pytest.mark.parametrize("typed", [("datasets",), ("spaces",), ("hardware",)], ids=" ".join)
def test_listings_fit_80_columns(typed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = CliRunner().invoke(main, list(typed), env={"COLUMNS": "80"}).stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert typed != ("datasets",) or all(part in text for part in ("characterize.source", "'analognas[bench]'"))


WITH_JSON = {typed: command for typed, command in commands() if any("--json" in p.opts for p in command.params)}
#: Commands that nothing can be wrong for before they look, without what they need.
NEEDED = {
    ("search",): ("--true-evaluations", "1"), ("stage",): ("sample",), ("init",): ("w", "--dataset", "digitz"),
    ("compare",): ("HEAD",), ("restore",): ("HEAD",), ("sweep",): ("search.k=1,2",),
    ("datasets", "fetch"): ("digitz",), ("datasets", "check"): ("digitz",),
}  # fmt: skip


def test_every_command_that_may_be_scripted_has_json():
    assert {typed[0] for typed, _ in commands()} - {typed[0] for typed in WITH_JSON} == {"serve"}


@pytest.mark.parametrize("typed", WITH_JSON, ids="-".join)
def test_every_command_tells_what_is_wrong_as_one_object(typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    wrong = [(*typed, "--json", "--nonsense"), (*typed, "--nonsense", "--json")]  # click's errors
    if isinstance(WITH_JSON[typed], click.Group):
        wrong.append((*typed, "--json", "nonsense"))
    result = call(*typed, *NEEDED.get(typed, ()), "--json")
    if result.exit_code != 0:  # ours: no workspace is here
        wrong.append((*typed, *NEEDED.get(typed, ()), "--json"))
    for arguments in wrong:
        result = call(*arguments)
        told = json.loads(result.stdout)
        assert told.keys() >= {"error", "kind", "exit_code"}, arguments
        assert told["exit_code"] == result.exit_code == 2, arguments
        assert told["error"] in result.stderr, arguments
        assert "Traceback" not in result.stderr, arguments


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (KeyError("inner"), "Fault", "This is a fault of analognas, not yours"),
        (OSError(28, "No space left on device", "data/x"), "SystemRefused", "data/x cannot be used (no space left on"),
        (MemoryError(), "OutOfMemory", "There is not enough memory"),
        (KeyboardInterrupt(), "Interrupted", "interrupted; what was finished is kept"),
    ],
)
def test_what_nobody_foresaw_is_one_sentence_too(
    inside: Paths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, raised: BaseException, kind: str, message: str
):
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("analognas.stages.run_stage", fail)
    result = call("stage", "sample", "--json")
    told = json.loads(result.stdout)
    assert (told["kind"], told["exit_code"], result.exit_code) == (kind, 1, 1)
    assert told["error"].startswith(message)
    assert result.stderr.lstrip() == f"analognas: {told['error']}\n"  # click begins a new line after Ctrl-C
    kept = list(tmp_path.glob("analognas-*.txt"))
    assert len(kept) == (kind == "Fault")
    assert all("KeyError: 'inner'" in file.read_text() and str(file) in told["error"] for file in kept)


def test_what_follows_two_dashes_is_no_option(inside: Paths):
    assert call("stage", "--", "--json").stdout == ""


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


def test_a_process_that_is_ended_says_the_same_and_ends_as_ever(inside: Paths):
    code = (
        "import signal, sys; from analognas.cli import main; "
        "import analognas.stages as s; s.run_stage = lambda *_, **__: signal.raise_signal(signal.SIGTERM); "
        "main(['stage', 'sample'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGTERM
    assert ended.stderr.strip() == "analognas: interrupted; what was finished is kept, run again to go on."


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
    assert others == []
    monkeypatch.setattr("sys.warnoptions", ["default"])
    shown(UserWarning("some library's"), UserWarning, "file.py", 1)
    assert capsys.readouterr().err == "analognas: data/x is damaged.\n"
    assert others == ["some library's"]


def test_every_command_sends_what_waits_and_tells_of_who_was_killed(inside: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANALOGNAS_NOTIFY", "cat >> told.json")
    about = {"id": "7", "what": "A retraining", "page": None}
    paths = inside
    with going_on(paths, about):
        kept = (paths.root / ".analognas" / "going.json").read_bytes()
    (paths.root / ".analognas" / "going.json").write_bytes(kept)  # as of a process that was killed
    for _ in range(2):
        assert CliRunner().invoke(main, ["spaces"]).exit_code == 0
    (notice,) = map(json.loads, (paths.root / "told.json").read_text().splitlines())
    assert notice["event"] == "crashed"
