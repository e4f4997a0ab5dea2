"""What single values of ``params.yaml`` may be besides their type: what is checked here is said in our words."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from analognas.hardware.params import COST_LIMITS
from analognas.plugins import nearest


def parse_count(value: Any) -> Any:
    """Return ``50k`` as 50000 and ``1.5M`` as 1500000; anything else as it is."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmM])\s*", value)):
        return round(float(match[1]) * {"k": 1_000, "m": 1_000_000}[match[2].lower()])
    return value


def no_threads(runner: Any) -> Any:
    """Return a runner; raises ValueError for threads, which people ask for."""
    if runner == "threads":
        raise ValueError(
            "aihwkit draws from one generator of the process, so threads would spoil each other's results; "
            "set processes, serial, dask or ray"
        )
    return runner


def host_and_port(address: str | None) -> str | None:
    """Return the address of a cluster; raises ValueError if it does not name host and port."""
    if address is None or address == "auto":  # Ray's word for the instance of this machine
        return address
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        whole = bool(parts.hostname and parts.port) and not (parts.path or parts.username)
    except ValueError:  # of the port
        whole = False
    if not whole:
        raise ValueError("must name host and port, e.g. tcp://10.0.0.5:8786")
    return address


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return augmentations; raises ValueError if one is there twice."""
    if len(set(names)) != len(names):
        raise ValueError("must name each augmentation once")
    return names


#: What a search of several objectives may look at (``search_algorithms.pareto.OBJECTIVES``).
_OBJECTIVES = ("acc_1d", "avm", "acc_1d_std", "params", *COST_LIMITS)


def known_limits(given: dict[str, float]) -> dict[str, float]:
    """Return limits on costs; raises ValueError for one that there is not, or that nothing holds."""
    for name, limit in given.items():
        if name not in COST_LIMITS:
            raise ValueError(f"there is no limit on {name}; {nearest(name, COST_LIMITS)}")
        if limit <= 0:
            raise ValueError(f"the limit on {name} is {limit:g}, and must be above 0")
    return given


def known_objectives(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return objectives; raises ValueError for one that there is not, or fewer than two different ones."""
    for name in given or ():
        if name not in _OBJECTIVES:
            raise ValueError(f"there is no objective {name}; {nearest(name, _OBJECTIVES)}")
    if given is not None and not 2 <= len(set(given)) == len(given):
        raise ValueError(f"give two or more of {', '.join(_OBJECTIVES)}, each once")
    return given
