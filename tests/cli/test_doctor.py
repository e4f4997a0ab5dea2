import shutil
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from analognas.cli import doctor
from analognas.cli.doctor import Finding, diagnose
from analognas.hardware import rpu_config
from analognas.setup.template import source


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | None], None]:
    """Pretend that a package has another version, or (None) that it is not there."""

    def pretend(package: str, installed: str | None) -> None:
        def other(name: str) -> str:
            if name == package and installed is None:
                raise PackageNotFoundError(name)
            return str(installed) if name == package else version(name)

        monkeypatch.setattr(doctor, "version", other)

    return pretend


def found(name: str) -> Finding:
    (finding,) = (finding for finding in diagnose() if finding.name == name)
    return finding


def ours(name: str) -> str:
    """Return what pyproject.toml asks of a package."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    parsed = [Requirement(text) for text in project["dependencies"]]
    (one,) = (each for each in parsed if each.name == name and (each.marker is None or each.marker.evaluate()))
    return f"{name}{one.specifier}"


@pytest.mark.parametrize(
    "package", ["torch", "aihwkit", "xgboost", "prefect", "dvc", "mlflow", "fastapi", "sqlalchemy"]
)
def test_a_missing_package_is_the_one_thing_that_has_to_be_mended(package: str, install: Callable):
    install(package, None)
    (bad,) = (finding for finding in diagnose() if finding.needed and not finding.ok)
    assert bad.name == package
    assert bad.text == f"{package} is not installed: pip install '{ours(package)}'"


@pytest.mark.parametrize(
    ("package", "installed", "ok"),
    [
        ("fastapi", "0.99.1", False), ("fastapi", "0.150.3", True), ("fastapi", "0.151.0", False),
        ("fastapi", "1.0", False),
        ("sqlalchemy", "2.0.44", True), ("sqlalchemy", "2.1.0", False),
        ("prefect", "3.9.1", False), ("torch", "2.13.0", False), ("torch", "2.14.0", False),
        ("aihwkit", "1.0.0", False), ("mlflow", "3.17.2", True),
    ],
)  # fmt: skip
def test_a_package_that_does_not_fit_is_found_with_what_we_ask_for(
    package: str, installed: str, ok: bool, install: Callable
):
    install(package, installed)
    bad = [finding for finding in diagnose() if not finding.ok and finding.needed]
    expected = f"{package} {installed} does not fit: pip install '{ours(package)}'"
    assert [(finding.name, finding.text) for finding in bad] == ([] if ok else [(package, expected)])


def test_what_only_extras_need_is_not_asked_for():
    listed = doctor.requires("analognas")
    assert listed is not None
    assert any("extra ==" in one for one in listed)
    others = found("requirements").text
    needed = [one for one in map(Requirement, listed) if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert others == f"{len(needed) - 6} other packages fit"


def test_an_analognas_that_is_not_installed_is_found(monkeypatch: pytest.MonkeyPatch):
    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", nothing)
    finding = found("requirements")
    assert (finding.ok, finding.needed) == (False, True)
    assert "make run" in finding.text


@pytest.mark.parametrize(
    ("here", "ok"), [((3, 10, 14), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)]
)
def test_a_python_that_is_not_supported_is_found(here: tuple, ok: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(version_info=here))
    finding = found("python")
    assert (finding.ok, finding.needed) == (ok, True)
    assert ".".join(map(str, here)) in finding.text
    assert ("install Python" in finding.text) is not ok


def test_git_and_compiled_tiles_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rpu_config, "compiled_tiles_problem", lambda: "made for another torch")
    for name, text in {"git": "git is not installed", "compiled tiles": "made for another torch"}.items():
        finding = found(name)
        assert (finding.ok, finding.needed) == (False, False)
        assert text in finding.text


def test_a_gpu_is_named_with_the_parameter_that_uses_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Big GPU")
    assert found("device").text == "Big GPU (base.device: cuda)"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert found("device").ok
    assert "CPU" in found("device").text


def test_a_torch_that_is_installed_but_broken_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = found("device")
    assert (finding.ok, finding.needed) == (False, True)


def test_a_small_layer_is_trained_and_programmed():
    finding = found("layers")
    assert (finding.ok, finding.needed) == (True, True)
    assert "trained, programmed and aged" in finding.text
    assert finding.text.count("\n") == 0


def test_an_aihwkit_that_does_not_run_has_to_be_mended(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ImportError("undefined symbol: _ZN3c10")

    monkeypatch.setattr("aihwkit.nn.conversion.convert_to_analog", broken)
    (bad,) = (finding for finding in diagnose() if not finding.ok and finding.needed)
    assert bad.name == "layers"
    assert "undefined symbol" in bad.text
    assert "requirements.lock" in bad.text


def test_a_flow_that_imports_what_is_no_longer_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "flows").mkdir()
    shutil.copyfile(source() / "flows" / "pipeline.py", tmp_path / "flows" / "pipeline.py")
    (tmp_path / "flows" / "retrain.py").write_text(
        "from analognas import __version__, characterizing\n"
        "import analognas.artifacts.more\nfrom analognas.files import digest\n"
    )
    (tmp_path / "flows" / "own.py").write_text("def broken(:")
    monkeypatch.chdir(tmp_path)
    (bad,) = doctor._flows()
    assert (bad.name, bad.ok, bad.needed) == ("flows/retrain.py", False, True)
    assert "imports analognas.characterizing, analognas.artifacts.more, which analognas has not" in bad.text
    monkeypatch.chdir(tmp_path.parent)
    assert doctor._flows() == []
