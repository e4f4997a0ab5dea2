"""Whether a chip can be simulated, and what of it the fast layers leave to aihwkit: looked at once, and said once.

The driver of a run tries its chip out before the work begins and tells what it finds; the processes that do the work
are silent. aihwkit and torch are loaded by the functions, not by this module.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from analognas.causes import own_code
from analognas.errors import AnalogNASError, AnalogNASWarning, HardwareError
from analognas.hardware.silence import sentence

if TYPE_CHECKING:
    from analognas.hardware.params import HardwareParams

_told: set[str] = set()


def check(spec: HardwareParams) -> str | None:
    """Try a chip out on a network of two small layers and return what of it the fast layers do not compute.

    The network is trained for one step, programmed, drifted and evaluated, all by aihwkit, and torch's generators are
    left as they were.

    Returns:
        The setting, None if the fast layers compute all. A preset of the library's own is not tried: it is known.

    Raises:
        HardwareError: if it cannot be simulated.
    """
    from analognas.hardware.presets import PRESETS
    from analognas.hardware.rpu_config import rpu_config

    if spec.rpu_config in PRESETS:
        return PRESETS[spec.rpu_config].slow or None
    try:
        return _tried(rpu_config(spec))
    except AnalogNASError:
        raise
    except Exception as error:  # classes of the user's own may fail in any way
        raise HardwareError(
            f"hardware.rpu_config {spec.rpu_config!r} cannot be simulated ({own_code(error)}): "
            "mend the configuration or its classes."
        ) from error


def tell(spec: HardwareParams) -> None:
    """Warn of what is left to aihwkit, once in a run, before work of a chip begins.

    Raises:
        HardwareError: if the chip cannot be simulated.
    """
    if spec.layers == "aihwkit" or (reason := check(spec)) is None:
        return
    text = sentence(reason, "all layers")
    if text not in _told:
        _told.add(text)
        # Not `warn`: whether that shows a sentence twice depends on what others do with the filters in between.
        warnings.warn_explicit(text, AnalogNASWarning, __name__, 0)


def begin() -> None:
    """Let a new run begin: what was told in the one before is told again."""
    _told.clear()


def _tried(config: Any) -> str | None:
    import torch
    from aihwkit.exceptions import AihwkitException
    from aihwkit.optim import AnalogSGD
    from torch import nn

    from analognas.hardware.analog import convert
    from analognas.hardware.layers import uncovered

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 2, 2, bias=False), nn.Flatten(), nn.Linear(8, 2))
        model: Any = convert(network, config, "aihwkit").train()
        x = torch.randn(4, 1, 3, 3)
        optimizer = AnalogSGD(model.parameters(), lr=0.01)
        optimizer.regroup_param_groups(model)
        model(x).square().sum().backward()
        optimizer.step()
        layers = [layer.analog_module for layer in model.modules() if hasattr(layer, "analog_module")]
        reason = uncovered(layers[0])
        model.eval()
        model.program_analog_weights()
        try:
            model.drift_analog_weights(1.0)
        except AihwkitException:  # it knows no such time; that is said where the times are known
            return reason
        with torch.no_grad():
            model(x)
        return reason or next(filter(None, map(uncovered, layers)), None)
