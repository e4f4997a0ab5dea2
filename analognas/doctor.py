"""``analognas doctor``: one line for everything that has to fit together."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

_TOOLS = ("torch", "aihwkit", "xgboost", "prefect", "dvc", "mlflow")
_MINIMUM, _BEYOND = (3, 11), (3, 14)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well, what there is and what to do, whether it is needed."""

    name: str
    ok: bool
    text: str
    needed: bool = True


def diagnose() -> list[Finding]:
    """Return one finding for everything that has to fit together."""
    return [_python(), *map(_package, _TOOLS), _torch_tiles(), _compiled_tiles(), _fastapi(), _git(), _cuda()]


def _python() -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    ok = _MINIMUM <= sys.version_info[:2] < _BEYOND
    return Finding("python", ok, f"Python {here}" + ("" if ok else ": install Python 3.11, 3.12 or 3.13"))


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, f"{name} {version(name)}")
    except PackageNotFoundError:
        return Finding(name, False, f"{name} is not installed: pip install analognas again in this environment")


def _torch_tiles() -> Finding:
    try:
        import torch
        from aihwkit.nn import AnalogLinear
        from aihwkit.simulator.configs import TorchInferenceRPUConfig

        AnalogLinear(2, 2, rpu_config=TorchInferenceRPUConfig())(torch.zeros(1, 2))
    except Exception as error:  # a mismatch shows in many ways, from a missing symbol to a refused tensor
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        remedy = "install the versions of aihwkit and torch in requirements.lock"
        return Finding("torch tiles", False, f"aihwkit's torch tiles do not run ({reason}): {remedy}")
    return Finding("torch tiles", True, "aihwkit's torch tiles run: analognas computes with these")


def _compiled_tiles() -> Finding:
    from analognas.hardware.rpu_config import compiled_tiles_problem

    # Worth knowing, but nothing depends on it.
    problem = compiled_tiles_problem()
    if problem is None:
        return Finding("compiled tiles", True, "aihwkit's compiled tiles match torch", needed=False)
    return Finding("compiled tiles", False, problem, needed=False)


def _fastapi() -> Finding:
    try:
        installed = version("fastapi")
    except PackageNotFoundError:
        return Finding("fastapi", False, "fastapi is not installed: Prefect needs it")
    ok = tuple(int(part) for part in installed.split(".")[:2]) < (0, 155)
    remedy = "" if ok else ": Prefect 3.8 fails with it, pip install 'fastapi<0.155'"
    return Finding("fastapi", ok, f"fastapi {installed}{remedy}")


def _git() -> Finding:
    ok = shutil.which("git") is not None
    text = "git" if ok else "git is not installed: runs work, but nothing is versioned"
    return Finding("git", ok, text, needed=False)


def _cuda() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("device", False, "torch cannot be loaded")
    if torch.cuda.is_available():
        return Finding("device", True, f"{torch.cuda.get_device_name()} (base.device: cuda)", needed=False)
    return Finding("device", True, "no CUDA device: networks are trained on the CPU", needed=False)
