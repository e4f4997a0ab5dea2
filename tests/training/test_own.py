from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analognas.datasets import Dataset
from analognas.errors import HardwareError, InputError
from analognas.hardware.analog import clean_state
from analognas.params import HardwareParams, TrainingParams
from analognas.training.own import OwnNetwork

HARDWARE = HardwareParams()


class Cnn(nn.Module):
    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(torch.relu(self.norm(self.stem(x))), 2)
        out: Tensor = self.head(x.flatten(1))
        return out


def flat(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Flatten(), *layers)


@pytest.fixture(scope="session")
def own(dataset: Dataset) -> OwnNetwork:
    return OwnNetwork(Cnn, dataset, seed=0)


@pytest.fixture(scope="session")
def measured(own: OwnNetwork, protocol: TrainingParams) -> Any:
    return own.measure(HARDWARE, protocol)


def test_it_is_measured_as_an_architecture_is(own: OwnNetwork, measured: Any, protocol: TrainingParams) -> None:
    assert own.notes == []
    assert (own.params, measured.tiles) == (36 + 8 + 51, 2)
    assert measured.columns["acc_digital"] > 60
    assert {"acc_hwa", "acc_1d", "acc_1d_std", "avm", "avm_sem"} <= set(measured.columns)
    assert len(measured.accuracy) == protocol.repeats
    assert [point["seconds"] for point in measured.curve] == list(protocol.times)
    assert [(row["class"], row["images"]) for row in measured.classes] == [("a", 10), ("b", 10), ("c", 10)]
    for name in ("acc_1d", "acc_30d"):
        assert sum(row[name] for row in measured.classes) / 3 == pytest.approx(measured.columns[name])


def test_the_same_call_gives_the_same_figures_and_another_seed_others(
    dataset: Dataset, measured: Any, protocol: TrainingParams
) -> None:
    again = OwnNetwork(Cnn, dataset, seed=0).measure(HARDWARE, protocol)
    assert (again.columns, again.accuracy) == (measured.columns, measured.accuracy)
    other = OwnNetwork(Cnn, dataset, seed=1).measure(HARDWARE, protocol)
    assert not torch.equal(clean_state(other.analog)["norm.weight"], clean_state(measured.analog)["norm.weight"])


def test_trained_weights_are_taken_as_they_are(dataset: Dataset, protocol: TrainingParams) -> None:
    torch.manual_seed(5)
    weights = Cnn((1, 8, 8), 3).state_dict()
    own = OwnNetwork(Cnn, dataset, seed=0, weights=weights)
    torch.testing.assert_close(dict(own.build().state_dict()), dict(weights))
    found = own.measure(HARDWARE, protocol)
    state = clean_state(found.analog)
    torch.testing.assert_close(state["norm.running_mean"], weights["norm.running_mean"])
    ranges = [tensor for name, tensor in state.items() if name.endswith("input_range")]
    assert len(ranges) == 2
    assert all(float(tensor) != 3.0 for tensor in ranges)  # what aihwkit begins with
    trained = own.measure(HARDWARE, protocol, hwa=True)
    assert not torch.equal(clean_state(trained.analog)["norm.running_mean"], weights["norm.running_mean"])
    assert trained.columns["acc_digital"] == found.columns["acc_digital"]


def test_a_fingerprint_is_of_what_is_computed(own: OwnNetwork, dataset: Dataset) -> None:
    class Without(Cnn):
        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.adaptive_avg_pool2d(self.norm(self.stem(x)), 2)
            out: Tensor = self.head(x.flatten(1))
            return out

    Without.__name__ = "Cnn"
    assert OwnNetwork(Cnn, dataset, seed=0).fingerprint == own.fingerprint
    assert OwnNetwork(Without, dataset, seed=0).fingerprint != own.fingerprint
    weights = Cnn((1, 8, 8), 3).state_dict()
    assert OwnNetwork(Cnn, dataset, seed=0, weights=weights).fingerprint != own.fingerprint


class Direct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(64, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(x.flatten(1) @ self.a.weight.T)
        return out


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = nn.functional.dropout(self.a(x.flatten(1)))
        return out


class Uncopied(Drawing):
    def __init__(self) -> None:
        super().__init__()
        self.lines = (line for line in ())


class Two(Drawing):
    def forward(self, x: Tensor) -> Any:
        out = self.a(x.flatten(1))
        return (out, out) if self.training else out


def test_a_network_that_uses_weights_of_its_layers_is_refused_before_it_is_trained(
    dataset: Dataset, protocol: TrainingParams
) -> None:
    own = OwnNetwork(Direct, dataset, seed=0)
    assert any("'a' is never called" in note for note in own.notes)
    with pytest.raises(HardwareError, match=r"does not run on analog tiles \(line .*test_own.py raises"):
        own.measure(HARDWARE, protocol)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Drawing, "two answers to the same images"),
        (lambda: Cnn((1, 8, 8), 3).eval(), "comes in evaluation mode"),
        (flat(nn.Linear(64, 8), nn.Linear(8, 3)), ""),
    ],
)
def test_what_happens_in_silence_is_said(make: Any, words: str, dataset: Dataset) -> None:
    notes = OwnNetwork(make, dataset, seed=0).notes
    assert any(words in note for note in notes) if words else notes == []


def test_what_stays_digital_is_named_with_its_share(dataset: Dataset) -> None:
    class Lstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(self.lstm(x.squeeze(1))[0][:, -1])
            return out

    own = OwnNetwork(Lstm, dataset, seed=0)
    own.try_out(HARDWARE)
    named, share = own.notes
    assert named.startswith("'lstm' (LSTM) stays digital")
    assert share.startswith(f"{12 / (12 + 3 + 4 * 4 * (8 + 4 + 2)):.1%} of its parameters are on tiles")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (Uncopied, InputError, "cannot be copied"),
        (nn.Linear(64, 3), InputError, "is made already"),
        (lambda: 3, InputError, "returns int, no torch.nn.Module"),
        (lambda a, b, c: nn.Linear(1, 1), InputError, "cannot be made"),
        (flat(nn.Linear(64, 4)), InputError, "give its last layer 3 outputs"),
        (flat(nn.Linear(65, 3)), InputError, "cannot take images of (1, 8, 8)"),
        (Two, InputError, "returns tuple in training mode"),
        (lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding="same"), nn.Flatten()), HardwareError, "padding=1"),
        (flat(nn.Linear(64, 3).half()), HardwareError, "float16"),
        (lambda: nn.Sequential(nn.Flatten(), *[nn.Linear(64, 64)] * 2, nn.Linear(64, 3)), HardwareError, "again"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(make: Any, error: type, words: str, dataset: Dataset) -> None:
    with pytest.raises(error) as refused:
        OwnNetwork(make, dataset, seed=0)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lazy_layers_are_made_real(dataset: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lazy layers are said to be under development
        own = OwnNetwork(flat(nn.LazyLinear(3)), dataset, seed=0)
    assert (own.params, own.notes) == (195, [])


@pytest.mark.slow
def test_a_network_of_torchvision_runs_on_tiles(dataset: Dataset) -> None:
    models = pytest.importorskip("torchvision.models")

    def resnet() -> nn.Module:
        network: nn.Module = models.resnet18(num_classes=3)
        network.conv1, network.maxpool = nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.Identity()
        return network

    own = OwnNetwork(resnet, dataset, seed=0)
    assert own.notes == []
    assert (len(own.structure.layers), own.structure.longest_path) == (21, 18)
    own.try_out(HARDWARE)
