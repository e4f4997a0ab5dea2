"""Figures of a run that are made up, and what is shown of them."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from analognas import report

ROW = {"params": 1234, "tiles": 7, "acc_digital": 98.0, "avm": 1.0, "avm_std": 0.5}
ROW |= {f"acc_{label}{end}": 90.0 for label in ("1s", "1h", "1d", "30d") for end in ("", "_std")}


@pytest.fixture
def made_up() -> Callable[..., dict]:
    """Figures with the interval of the difference to the plain network, and the evaluator's Kendall tau."""
    return _made_up


@pytest.fixture
def text() -> Callable[[dict], str]:
    """What a terminal shows of figures."""
    return _text


def _made_up(low: float, high: float, tau: float | None = 0.5) -> dict:
    interval = {"value": (low + high) / 2, "low": low, "high": high}
    return {
        "dataset": "digits",
        "data": None,
        "winner": ROW | {"id": "abc", "genes": {"M": 2}},
        "baseline": ROW,
        "difference": {"acc_1d": interval},
        "evaluator": {
            "architectures": 28,
            "targets": {"acc_1d": {"kendall_tau": {"value": tau, "low": tau, "high": tau}}},
        },
        "limits": {},
        "notes": ["A note."],
        "budget": None,
        "hardware": {"rpu_config": "pcm-hermes", "tile_size": 32, "layers": "fast", "adc_bits": 6},
        "changed": [],
    }


def _text(content: dict) -> str:
    output = io.StringIO()
    Console(width=200, file=output).print(report.render(content))
    return output.getvalue()
