import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from analognas.errors import CorruptFileError, InputError
from analognas.training.given_weights import digest_of, put_in, read_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))


def test_weights_are_read_of_what_holds_tensors_alone(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "b.pt")
    for name in ("a.safetensors", "a.pt", "b.pt"):
        torch.testing.assert_close(read_weights(tmp_path / name), dict(state))
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    (tmp_path / "whole.pt").write_bytes(pickle.dumps(print))
    (tmp_path / "torn.safetensors").write_bytes(b"{")
    for name in ("none.pt", "whole.pt", "torn.safetensors", "missing.pt"):
        with pytest.raises(CorruptFileError, match=r"save network.state_dict\(\)"):
            read_weights(tmp_path / name)


def test_weights_go_into_the_network_that_they_are_of_and_into_no_other() -> None:
    state = network().state_dict()
    other = network()
    put_in(other, state)
    torch.testing.assert_close(dict(other.state_dict()), dict(state))
    with pytest.raises(InputError, match=r"'1\.bias' is not in the weights"):
        put_in(other, {name: tensor for name, tensor in state.items() if name != "1.bias"})
    with pytest.raises(InputError, match=r"'2\.bias' is not in the network"):
        put_in(other, state | {"2.bias": torch.zeros(3)})
    with pytest.raises(InputError, match=r"'1.bias' is \(4,\) in the weights and \(3,\)"):
        put_in(other, state | {"1.bias": torch.zeros(4)})


def test_a_digest_is_of_the_values_however_they_lie() -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3)}
    assert digest_of(weights) == digest_of({"a": weights["a"].T.contiguous().T})
    assert digest_of(weights) != digest_of({"a": weights["a"] + 1})
