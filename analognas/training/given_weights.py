"""Trained weights that a user gives: read from a file, loaded into the network that they are of, told apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from analognas.causes import quoted
from analognas.errors import CorruptFileError, InputError
from analognas.files import digest, read_bytes


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the trained weights that a file holds: safetensors, or a state dict as ``torch.save`` writes it.

    A state dict may lie in a checkpoint under ``state_dict`` or ``model``. Nothing but tensors is unpickled.

    Raises:
        CorruptFileError: if the file is missing, damaged, or holds something else.
    """
    remedy = "save network.state_dict() with torch.save, or with safetensors.torch.save_file"
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return dict(load(read_bytes(path, remedy=remedy)))
        except SafetensorError as error:
            raise CorruptFileError(f"{path} holds no safetensors ({quoted(error)}): {remedy}.") from error
    if not path.is_file():
        raise CorruptFileError(f"{path} is missing: {remedy}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no error of its own for what is no checkpoint
        raise CorruptFileError(
            f"{path} holds more than tensors (a whole pickled network?), or is damaged; it is not unpickled: {remedy}."
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content or not all(isinstance(t, Tensor) for t in content.values()):
        raise CorruptFileError(f"{path} holds no state dict (tensors by name): {remedy}.")
    return dict(content)


def put_in(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights into the network that they are of; raises InputError if they are another one's."""
    own = network.state_dict()
    for name in sorted({*own, *weights}):
        if name not in own or name not in weights:
            where = "the network" if name not in own else "the weights"
            raise InputError(f"{name!r} is not in {where}: give the weights of this network (its state_dict()).")
        if own[name].shape != weights[name].shape:
            raise InputError(
                f"{name!r} is {tuple(weights[name].shape)} in the weights and {tuple(own[name].shape)} in the network: "
                "give the weights of this network, made for these images and classes."
            )
    network.load_state_dict(dict(weights))


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """Return a digest of weights by name, the same however they lie in memory."""
    from safetensors.torch import save

    plain = {name: tensor.detach().contiguous().clone() for name, tensor in weights.items()}
    return digest(save(plain).hex())
