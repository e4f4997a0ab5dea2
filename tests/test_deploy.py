"""The units, containers and settings in deploy/ name what the installed tools know, and fit each other."""

import configparser
import inspect
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas.cli import main
from analognas.setup.template import source

FOLDER = source() / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PAGE = source() / "docs" / "team.md"
COMPOSE = source() / "deploy" / "compose.yaml"
CONTAINERS: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = CONTAINERS["services"]
#: What the containers call what is a unit of systemd.
OURS = {"mlflow": "analognas-mlflow", "prefect": "analognas-prefect", "retrain": "analognas-retrain"}


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


@pytest.mark.parametrize("kind", ["units", "containers"])
def test_every_option_is_one(kind: str):
    assert [unit.stem for unit in UNITS] == list(OURS.values())
    mlflow, prefect, retrain = map(command, UNITS) if kind == "units" else (SERVICES[name]["command"] for name in OURS)
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
    found |= {name: set(filter(_of_a_tool, SERVICES[name]["environment"])) for name in OURS}
    assert {name: names - known for name, names in found.items() if names - known} == {}
    assert all(found.values())


def _of_a_tool(variable: str) -> bool:
    return variable.startswith(("MLFLOW_", "PREFECT_"))


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


def interpolated(text: str) -> set[str]:
    """Return the variables that Compose puts in."""
    return set(re.findall(r"(?<!\$)\$\{([A-Z_]+)(?::[?-][^}]*)?\}", text))


def _as_in_units(value: str) -> str:
    """Return a setting of a container as it is where all is on one machine."""
    return re.sub(r"(//|@)(postgresql|mlflow|prefect)(?=:)", r"\g<1>127.0.0.1", re.sub(r"\$\{[^}]*\}", "CHANGE", value))


def test_containers_have_the_settings_and_commands_of_the_units():
    for name, unit in zip(OURS, UNITS, strict=True):
        service = parsed(unit)
        theirs = {key: _as_in_units(value) for key, value in SERVICES[name]["environment"].items()}
        assert theirs.items() >= settings(Path(service["EnvironmentFile"]).name).items(), name
        assert SERVICES[name]["working_dir"] == service["WorkingDirectory"]
        listening = [word.replace("0.0.0.0", "127.0.0.1") for word in SERVICES[name]["command"]]
        assert listening == command(unit)
    more = {key for name in OURS for key in SERVICES[name]["environment"]}
    more -= {key for file in FOLDER.glob("*.env") for key in settings(file.name)}
    # What only containers need: other names for the same servers, and what is told only if it is wanted.
    assert more == {"MLFLOW_SERVER_ALLOWED_HOSTS", "PREFECT_UI_API_URL", "PREFECT_UI_URL", "ANALOGNAS_NOTIFY"}
    inside, outside = configparser.ConfigParser(), configparser.ConfigParser()
    inside.read_string(_as_in_units(CONTAINERS["configs"]["mlflow-auth"]["content"]))
    outside.read(FOLDER / "mlflow-auth.ini")
    assert dict(inside["mlflow"]) == dict(outside["mlflow"])


def test_a_container_that_is_stopped_ends_as_the_unit_does():
    unit, container = parsed(UNITS[2]), SERVICES["retrain"]
    assert container["stop_signal"] == unit["KillSignal"]
    assert container["stop_grace_period"] == f"{unit['TimeoutStopSec']}s"
    assert container["hostname"]  # otherwise each new container would be another machine, with a schedule of its own


def test_what_a_container_names_is_there():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            assert "healthcheck" in SERVICES[other]
        assert {given["source"] for given in service.get("configs", [])} <= set(CONTAINERS["configs"])
        assert _volumes(service).keys() <= set(CONTAINERS["volumes"])
        assert "test" in service["healthcheck"]
        if "build" not in service:
            assert re.fullmatch(r"\w+:\d+\.\d+-\w+", service["image"]), "the version stands in the tag"
            continue
        assert (COMPOSE.parent / service["build"]["context"]).resolve() == source()
        recipe = (source() / service["build"]["dockerfile"]).read_text()
        assert f" AS {service['build']['target']}\n" in recipe
        assert [line for line in recipe.splitlines() if line.startswith("USER")] == ["USER analognas"] * 2
    used = {place for service in SERVICES.values() for place in _volumes(service)}
    assert used == set(CONTAINERS["volumes"])
    assert {given["source"] for one in SERVICES.values() for given in one.get("configs", [])} == set(
        CONTAINERS["configs"]
    )


def _volumes(service: dict[str, Any]) -> dict[str, str]:
    return dict(volume.split(":") for volume in service["volumes"])


def test_containers_listen_to_this_machine_alone_and_their_passwords_are_elsewhere():
    kept = dict(line.split("=", 1) for line in (source() / "deploy" / "compose.env").read_text().split() if "=" in line)
    assert set(kept.values()) == {"CHANGE", ""}
    assert interpolated(COMPOSE.read_text()) == set(kept)
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            host, outer, inner = port.split(":")
            assert (host, outer) == ("127.0.0.1", inner)
            assert service["command"][service["command"].index("--port") + 1] == inner
            assert f"//127.0.0.1:{inner}/" in service["healthcheck"]["test"][-1]
        assert ("ports" in service) is (name in ("mlflow", "prefect"))
        for key, value in service["environment"].items():
            if re.search("(?i)(password|auth_string|secret|notify|://.+@)", f"{key}={value}"):
                assert interpolated(value), key
    assert "network_mode" not in COMPOSE.read_text()
    assert "privileged" not in COMPOSE.read_text().replace("no-new-privileges", "")


def test_containers_write_only_to_their_volumes():
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"] is True
        places = list(map(Path, _volumes(service).values()))
        written = [service["working_dir"], *(
            value for key, value in service["environment"].items()
            if value.startswith("/") and key != "MLFLOW_AUTH_CONFIG_PATH"
        )]  # fmt: skip
        assert all(any(Path(value).is_relative_to(place) for place in places) for value in written), name
        made = (source() / "deploy" / "Dockerfile").read_text()
        assert all(f"{place}" in made for place in places)  # a volume is root's where the image has no such folder


def test_images_are_built_from_what_the_checkout_has():
    recipe = (source() / "deploy" / "Dockerfile").read_text()
    (base,) = {line.split()[1] for line in recipe.splitlines() if line.startswith("FROM") and line.endswith("base")}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    taken = [
        line[1:]
        for line in (source() / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
        if line[:1] == "!"
    ]
    assert all(list(source().glob(name)) for name in taken)
    project = tomllib.loads((source() / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], "pyproject.toml", project["project"]["readme"], "LICENSE"]
    assert [name for name in needed if not any(Path(name).is_relative_to(there) for there in taken)] == []
    for line in recipe.splitlines():
        if line.startswith("COPY"):
            copied = [name for name in line.split()[1:-1] if name != "."]
            assert all(any(Path(name).match(there) for there in taken) for name in copied)
            assert all((source() / name).is_file() for name in copied)
