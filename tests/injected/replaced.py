"""Replaces something of a module as soon as a process loads it: for what tests put into the processes they start."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable
from typing import Any


class _Replaced(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, name: str, replacement: Callable[..., Any]) -> None:
        self._module, self._name, self._replacement = module, name, replacement

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            setattr(module, self._name, self._replacement(getattr(module, self._name)))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def replace_when_loaded(module: str, name: str, replacement: Callable[..., Any]) -> None:
    """Let what a module calls ``name`` be what ``replacement`` makes of it."""
    sys.meta_path.insert(0, _Replaced(module, name, replacement))
