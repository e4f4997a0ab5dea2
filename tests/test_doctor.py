import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import pytest

from analognas import doctor
from analognas.doctor import Finding, diagnose
from analognas.hardware import rpu_config


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


@pytest.mark.parametrize("package", ["torch", "aihwkit", "xgboost", "prefect", "dvc", "mlflow", "fastapi"])
def test_a_missing_package_is_the_one_thing_that_has_to_be_mended(package: str, install: Callable):
    install(package, None)
    (bad,) = (finding for finding in diagnose() if finding.needed and not finding.ok)
    assert bad.name == package
    assert f"{package} is not installed" in bad.text


@pytest.mark.parametrize(("installed", "ok"), [("0.99.1", True), ("0.154.2", True), ("0.155.0", False), ("1.0", False)])
def test_a_fastapi_that_prefect_fails_with_is_found(installed: str, ok: bool, install: Callable):
    install("fastapi", installed)
    finding = found("fastapi")
    assert (finding.ok, finding.needed) == (ok, True)
    assert installed in finding.text
    assert ("pip install 'fastapi<0.155'" in finding.text) is not ok


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


def test_an_aihwkit_that_does_not_run_has_to_be_mended(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ImportError("undefined symbol: _ZN3c10")

    monkeypatch.setattr("aihwkit.nn.AnalogLinear", broken)
    (found,) = (finding for finding in diagnose() if finding.name == "torch tiles")
    assert not found.ok
    assert found.needed
    assert "undefined symbol" in found.text
    assert "requirements.lock" in found.text
