import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

from analognas.hardware import convert
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams
from analognas.search_spaces import ConfigSpace
from analognas.training.digital import DivergedError, correct
from benchmarks import _programmed
from benchmarks._programmed import BUDGET, CHUNK, TIMES, Given, Network, draws, keep

SIZES = (40, 60)


def test_mirrored_numbers_have_the_other_sign() -> None:
    independent = draws("independent", 3, SIZES)
    assert independent.shape == (5, 2, 100)
    assert (draws("mirrored", 3, SIZES) == -independent).all()
    assert independent.mean() == pytest.approx(0, abs=0.15)
    assert independent.std() == pytest.approx(1, abs=0.1)
    assert (draws("independent", 4, SIZES) != independent).all()
    # The devices of a tile have the same numbers in every network that has such a tile.
    assert (draws("independent", 3, (40,)) == independent[:, :, :40]).all()


@pytest.mark.parametrize("plan", ["latin", "symmetric"])
def test_a_stratified_set_meets_each_sixth_once(plan: str) -> None:
    members = np.stack([draws(plan, number, SIZES) for number in range(6, 12)])
    sixths = np.floor(special.ndtr(members) * BUDGET).astype(int)
    assert (np.sort(sixths, axis=0) == np.arange(BUDGET)[:, None, None, None]).all()
    halves = members[:3] + members[3:]
    assert (np.abs(halves).max() < 1e-5) == (plan == "symmetric")
    assert len(np.unique(sixths[0])) == BUDGET  # no number is tied to its place in the set


def test_given_numbers_are_taken_in_turn() -> None:
    like = torch.zeros(2, 3)
    numbers = [np.full((2, 3), value, dtype=np.float32) for value in (1.0, 2.0)]
    with Given(iter(numbers)):
        assert (torch.randn_like(like) + torch.randn_like(like)).tolist() == [[3.0] * 3] * 2
    with Given(iter(numbers)), pytest.raises(ValueError, match=r"\(4,\) numbers are drawn, and \(2, 3\) are given"):
        torch.randn_like(torch.zeros(4))


@pytest.fixture
def network(tmp_path, monkeypatch):
    """A single layer, whose outputs are linear in its weights."""
    monkeypatch.setattr(_programmed, "CHUNK", 4)
    torch.manual_seed(0)
    analog = convert(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), rpu_config(HardwareParams()))
    x, y = torch.rand(30, 1, 8, 8), torch.randint(10, (30,))
    analog.train()(x)  # ranges of the inputs
    return Network(ConfigSpace("digits").smallest(), analog.eval(), x, y, tmp_path)


def test_programmings_are_measured_once_and_kept(network) -> None:
    assert not network.complete(8)
    for plan in _programmed.PLANS:
        for first in _programmed.chunks_of(plan, 8):
            network.measure(plan, first)
    assert network.complete(8)
    margin, probability = network.stored("independent", 8)
    assert margin.shape == probability.shape == (8, len(TIMES), 30)
    assert network.stored("latin", 8)[0].shape == (4, len(TIMES), 30)
    assert ((probability > 0) & (probability < 1)).all()
    keep(network.folder / "independent-000.npz", margin=margin[:4] + 1, probability=probability[:4])
    network.measure("independent", 0)  # is there
    assert (network.stored("independent", 8)[0][:4] == (margin[:4] + 1).astype(np.float32)).all()
    (network.folder / "independent-000.npz").unlink()
    network.measure("independent", 0)
    assert (network.stored("independent", 8)[0] == margin).all()


def test_the_sign_of_a_margin_says_what_is_right(network) -> None:
    torch.manual_seed(1)
    margin, _ = network.margins(network.analog)
    torch.manual_seed(1)
    assert ((margin > 0) == correct(network.analog, network.x, network.y).numpy()).all()


def test_what_is_linear_is_told_by_the_derivatives(network) -> None:
    network.measure("independent", 0)
    network.measure("independent", 4)
    measured, linear = network.stored("independent", 8)[0], network.linear(8)
    assert linear.shape == measured.shape
    apart = [own - own.mean(axis=0) for own in (measured, linear)]  # of the programmings, by image
    assert np.corrcoef(*(own.ravel() for own in apart))[0, 1] > 0.8


def test_seconds_are_those_of_programming_and_of_shares_of_the_images(network) -> None:
    seconds = network.seconds()
    assert seconds.shape == (1 + len(_programmed.SHARES),)
    assert (seconds > 0).all()


def test_a_chunk_does_not_break_a_pair() -> None:
    assert CHUNK % 2 == 0
    assert list(_programmed.chunks_of("independent", 40)) == [0, 20]
    assert list(_programmed.chunks_of("latin", 40)) == [0]


def test_a_network_whose_training_diverges_is_left_out_and_named(tmp_path, monkeypatch, capsys) -> None:
    asked = []

    def trained(architecture, *_):
        asked.append(architecture)
        if len(asked) == 2:
            raise DivergedError("loss is nan in epoch 3 of 5")
        return architecture

    monkeypatch.setattr(_programmed, "trained", trained)
    assert list(_programmed.networks(3, tmp_path)) == [asked[0], asked[2]]
    assert f"{asked[1].id} is left out: loss is nan" in capsys.readouterr().err
