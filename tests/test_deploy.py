"""The units and settings in deploy/systemd name what the installed tools know."""

import configparser
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from analognas.cli import main
from analognas.setup.template import source

FOLDER = source() / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PAGE = source() / "docs" / "team.md"


def command(unit: Path) -> list[str]:
    (line,) = re.findall(r"^ExecStart=/opt/analognas/bin/(.+)$", unit.read_text(), re.MULTILINE)
    return shlex.split(line)


def variables(text: str) -> set[str]:
    return set(re.findall(r"\b((?:MLFLOW|PREFECT)_[A-Z_]+[A-Z])(?==|`)", text))


def options(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def known_to_mlflow() -> tuple[set[str], set[str]]:
    """Its variables, and the options of ``mlflow server``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow and others deprecate among themselves
        from mlflow import environment_variables
        from mlflow.cli import cli
    given = cli.commands["server"].params
    return {*vars(environment_variables), *(one.envvar for one in given)}, {name for one in given for name in one.opts}


def test_every_option_is_one():
    assert [unit.stem for unit in UNITS] == ["analognas-mlflow", "analognas-prefect", "analognas-retrain"]
    mlflow, prefect, retrain = map(command, UNITS)
    assert mlflow[:2] == ["mlflow", "server"]
    assert options(mlflow) <= known_to_mlflow()[1]
    assert prefect[:3] == ["prefect", "server", "start"]
    from prefect.cli.server import start

    assert {name[2:] for name in options(prefect)} <= set(inspect.signature(start).parameters)
    assert retrain[:2] == ["analognas", "serve"]
    assert options(retrain) <= {name for one in main.commands["serve"].params for name in one.opts}


def test_every_variable_is_one():
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    known = known_to_mlflow()[0] | _get_valid_setting_names(Settings)
    files = [PAGE, source() / "docs" / "security.md", *FOLDER.glob("*.env")]
    found = {file.name: variables(file.read_text()) for file in files}
    assert {name: names - known for name, names in found.items() if names - known} == {}
    assert all(found.values())


def test_servers_are_not_in_the_network_and_no_password_is_in_a_unit():
    for unit in UNITS:
        assert unit.name == "analognas-retrain.service" or "--host 127.0.0.1" in unit.read_text()
        for word in ("password", "postgresql://", "0.0.0.0", "AUTH_STRING"):
            assert word not in unit.read_text()
        (settings,) = re.findall(r"^EnvironmentFile=/etc/analognas/(.+)$", unit.read_text(), re.MULTILINE)
        assert (FOLDER / settings).is_file()
    for file in FOLDER.glob("*.env"):
        for line in file.read_text().splitlines():
            assert not re.search("(?i)(password|auth_string|secret|://.+@)", line) or "CHANGE" in line or line[0] == "#"


def settings(name: str) -> dict[str, str]:
    lines = [line for line in (FOLDER / name).read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split("=", 1) for line in lines)


def parsed(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    return parser["Service"]


def test_every_service_writes_only_where_its_unit_lets_it():
    for unit in UNITS:
        service = parsed(unit)
        assert (service["User"], service["ProtectSystem"], service["ProtectHome"]) == ("analognas", "strict", "yes")
        own = [Path("/var/lib") / service["StateDirectory"], *map(Path, service.get("ReadWritePaths", "").split())]
        assert any(Path(service["WorkingDirectory"]).is_relative_to(place) for place in own)
        name = Path(service["EnvironmentFile"]).name
        written = [
            value for key, value in settings(name).items()
            if value.startswith("/") and key in ("HOME", "PREFECT_HOME", "PREFECT_SERVER_UI_STATIC_DIRECTORY",
                                                 "MLFLOW_ARTIFACTS_DESTINATION")
        ]  # fmt: skip
        assert all(any(Path(value).is_relative_to(place) for place in own) for value in written), unit.name
    # Otherwise Prefect copies its pages beside its package, which is root's.
    assert "PREFECT_SERVER_UI_STATIC_DIRECTORY" in settings("prefect.env")


def test_the_settings_of_the_schedule_are_parameters(monkeypatch: pytest.MonkeyPatch):
    from analognas.params import Params

    for name, value in settings("retrain.env").items():
        if name.startswith("ANALOGNAS_"):
            monkeypatch.setenv(name, value)
    assert Params.load(source() / "params.yaml").run.branch == "retrain"


def pins(file: Path) -> dict[str, str]:
    lines = [line.partition(";")[0].strip() for line in file.read_text().splitlines() if line and line[0] != "#"]
    assert all("==" in line for line in lines)
    return dict(line.split("==", 1) for line in lines)


def test_more_pins_are_beside_the_lock_file_and_fit_it():
    locked = {line.split("==")[0]: line for line in (source() / "requirements.lock").read_text().splitlines()}
    files = sorted((source() / "deploy").glob("requirements-*.txt"))
    assert [file.name for file in files] == ["requirements-s3.txt", "requirements-server.txt"]
    for file in files:
        assert not set(pins(file)) & set(locked)
        assert f"deploy/{file.name}" in PAGE.read_text()
    pinned = pins(files[0])
    assert locked["fsspec"].startswith(f"fsspec=={pinned['s3fs']}")  # each wants its own day's
    assert pinned["boto3"] == pinned["botocore"]


def test_what_the_page_installs_is_there():
    named = set(re.findall(r"(?<![/\w])deploy/[\w./*-]+", PAGE.read_text()))
    assert named >= {"deploy/systemd/*.env", "deploy/systemd/*.service", "deploy/systemd/mlflow-auth.ini"}
    assert all(list(source().glob(name)) for name in named)


def test_the_page_names_every_file():
    text = PAGE.read_text()
    for unit in UNITS:
        assert unit.stem in text
    assert "mlflow-auth.ini" in text


def test_the_settings_of_passwords_are_mlflows(monkeypatch: pytest.MonkeyPatch):
    import mlflow.server

    parser = configparser.ConfigParser()
    parser.read(FOLDER / "mlflow-auth.ini")
    theirs = (Path(mlflow.server.__file__).parent / "auth" / "basic_auth.ini").read_text()
    for name in parser["mlflow"]:
        assert f"{name} =" in theirs
    assert parser["mlflow"]["default_permission"] == "READ"
    module, _, function = parser["mlflow"]["authorization_function"].partition(":")
    assert f"def {function}(" in (Path(mlflow.server.__file__).parent / "auth" / "__init__.py").read_text()
    assert module == "mlflow.server.auth"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong(tmp_path: Path):
    for unit in UNITS:  # the programs of this environment stand for the installed ones
        text = unit.read_text().replace("/opt/analognas/bin/", f"{Path(sys.executable).parent}/")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
