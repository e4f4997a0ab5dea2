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
