"""A winner for other tools: aihwkit's own layers, a torch ``ExportedProgram``, ONNX.

The last two are the digital twin (``hardware.twin``) with the preprocessing inside: they take images as the dataset
holds them, bytes (N, C, H, W), and give the probabilities of the classes.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from analognas.datasets.levels import constants
from analognas.errors import HardwareError, ParamsError, WorkspaceError
from analognas.files import write_bytes
from analognas.hardware.analog import to_aihwkit
from analognas.hardware.twin import digital_twin
from analognas.training import drift
from analognas.training.columns import checked_seconds
from analognas.training.protocol import drift_seed, reproducible

if TYPE_CHECKING:
    from analognas.datasets.preprocessing import Preprocessing
    from analognas.training.winner import Winner

FORMATS = ("aihwkit", "pt2", "onnx")
_ONNX = ("onnx", "onnxscript")
_NAMES = {"inputs": "images", "outputs": "probabilities"}
#: Two images: torch takes a size of 1 for one that never changes.
_EXAMPLES = 2


def export(
    winner: Winner, path: Path | str, format: str, *, seconds_after_programming: float | None = None  # noqa: A002
) -> Path:  # fmt: skip
    """Write a winner for another tool, and return the path.

    Args:
        winner: from ``load_winner``.
        path: a new file.
        format: ``aihwkit`` (``torch.save`` of a dictionary: ``network``, a ``torch.fx`` module of aihwkit's layers with
            the clean weights, ``state_dict``, ``preprocessing``), ``pt2`` (``torch.export``) or ``onnx``.
        seconds_after_programming: the twin gets the weights of devices of this age, those of the first repeat of the
            measurement; default: the clean weights. aihwkit programs and drifts by itself.

    Raises:
        ParamsError: if there is no such format, or it has no devices.
        WorkspaceError: if there is such a file, it cannot be written, or what ONNX needs is not installed.
        HardwareError: if the network or its tiles cannot be exported.
    """
    place = Path(path)
    if format not in FORMATS:
        raise ParamsError(f"There is no format {format!r}; there are {', '.join(FORMATS)}.")
    if place.exists() or place.is_symlink():
        raise WorkspaceError(f"{place} is there already, and stays as it is: name a new file.")
    if format == "aihwkit" and seconds_after_programming is not None:
        raise ParamsError("The format aihwkit holds clean weights, which aihwkit programs and drifts: give no time.")
    missing = [package for package in _ONNX if find_spec(package) is None] if format == "onnx" else []
    if missing:
        raise WorkspaceError(f"ONNX needs {' and '.join(missing)}: pip install 'analognas[onnx]'.")
    write_bytes(place, _aihwkit(winner) if format == "aihwkit" else _twin(winner, format, seconds_after_programming))
    return place


def _aihwkit(winner: Winner) -> bytes:
    # A copy: it is without the hooks on gradients, which cannot be saved.
    network = copy.deepcopy(to_aihwkit(winner.model))
    state = network.state_dict()
    try:
        graph = _Tracer().trace(network)
    except Exception as error:  # its forward depends on values, or does what cannot be recorded
        raise HardwareError(
            "The network cannot be recorded by torch.fx, so aihwkit cannot load it without its class: use "
            "analognas.hardware.to_aihwkit(winner.model)."
        ) from error
    modules = dict(network.named_modules())
    used: dict[str, Any] = {}
    for node in graph.nodes:
        node.type = None  # names of types, which a reader would look for
        if node.op == "call_module":
            used[str(node.target)] = modules[str(node.target)]
        elif node.op == "get_attr":
            used[str(node.target)] = _attribute(network, str(node.target))
    graph.owning_module = None
    graph._tracer_cls = None  # ours, which a reader does not have
    buffer = io.BytesIO()
    content = {
        "network": fx.GraphModule(used, graph, class_name="Network").eval(),
        "state_dict": state,
        "preprocessing": winner.preprocessing.to_dict(),
    }
    torch.save(content, buffer)
    return buffer.getvalue()


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return hasattr(module, "analog_module") or super().is_leaf_module(module, name)


def _attribute(module: nn.Module, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _twin(winner: Winner, format: str, seconds: float | None) -> bytes:  # noqa: A002
    network = _Complete(_aged(winner, seconds), winner.preprocessing)
    images = torch.zeros((_EXAMPLES, *winner.preprocessing.input_shape), dtype=torch.uint8)
    shapes = {"images": {0: torch.export.Dim("images", min=1)}}
    told = json.dumps(winner.preprocessing.to_dict() | {"seconds_after_programming": seconds}, sort_keys=True)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's own habits
        if format == "pt2":
            program = torch.export.export(network, (images,), dynamic_shapes=shapes)
            torch.export.save(program, buffer, extra_files={"analognas.json": told})
            return buffer.getvalue()
        exported = torch.onnx.export(
            network, (images,), dynamo=True, dynamic_shapes=shapes, verbose=False,
            input_names=[_NAMES["inputs"]], output_names=[_NAMES["outputs"]],
        )  # fmt: skip
    assert exported is not None
    proto = exported.model_proto
    proto.metadata_props.add(key="analognas", value=told)
    return bytes(proto.SerializeToString())


class _Complete(nn.Module):
    """Preprocessing, network, probabilities."""

    shift: Tensor
    factor: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        shift, factor = constants(preprocessing.scale, preprocessing.mean, preprocessing.std)
        self.register_buffer("shift", torch.from_numpy(shift))
        self.register_buffer("factor", torch.from_numpy(factor))
        self.network = network.eval()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities of the classes, (N, classes), for images as the dataset holds them."""
        return torch.softmax(self.network((images.to(torch.float32) - self.shift) * self.factor), 1)


def _aged(winner: Winner, seconds: float | None) -> nn.Module:
    """Return the digital twin of the clean weights, or of devices of an age; the winner's model stays clean."""
    if seconds is None:
        return digital_twin(winner.model)
    seed = drift_seed(winner.seed, winner.architecture.id, winner.part)
    with reproducible("cpu"):
        return drift.aged(winner.model, lambda: digital_twin(winner.model), time=checked_seconds(seconds), seed=seed)
