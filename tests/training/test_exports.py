"""Each export is loaded by the tool that reads it, and agrees with the winner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from analognas.datasets import Dataset
from analognas.errors import ParamsError, WorkspaceError
from analognas.hardware.analog import is_programmed
from analognas.params import HardwareParams, TrainingParams
from analognas.search_spaces.architecture import Architecture
from analognas.training import Winner, characterize, exports, load_winner, save_winner
from analognas.training.exports import export

# Of torch.export.load itself.
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")


@pytest.fixture(scope="module")
def winner(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, tmp_path_factory: pytest.TempPathFactory
) -> Winner:
    longer = protocol.model_copy(update={"epochs": 12, "hwa_epochs": 8, "repeats": 12})
    done = characterize(architecture, dataset, HardwareParams(tile_size=32), longer, seed=3, part="test")
    folder = tmp_path_factory.mktemp("exports") / "winner"
    save_winner(folder, done, dataset)
    return load_winner(folder)


@pytest.fixture(scope="module")
def quiet(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, tmp_path_factory: pytest.TempPathFactory
) -> Winner:
    """Return a winner of a chip whose converters are not noisy, as an exported program is not."""
    hardware = HardwareParams(tile_size=32, out_noise=0.0)
    done = characterize(architecture, dataset, hardware, protocol, seed=3, part="test")
    folder = tmp_path_factory.mktemp("quiet") / "winner"
    save_winner(folder, done, dataset)
    return load_winner(folder)


def agrees(winner: Winner, dataset: Dataset, probabilities: np.ndarray, seconds: float = 1.0) -> None:
    """Hold the probabilities of an export against those of the devices, whose converters are noisy."""
    expected = winner.probabilities(dataset.test.x, seconds).mean(axis=0)
    assert probabilities.shape == expected.shape == (30, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.85  # a third is chance
    assert np.abs(probabilities - expected).mean() < 0.1


def test_an_exported_program_takes_the_images_of_the_dataset(winner: Winner, dataset: Dataset, tmp_path: Path) -> None:
    path = export(winner, tmp_path / "winner.pt2", "pt2")
    told = {"analognas.json": ""}
    program = torch.export.load(path, extra_files=told).module()
    found = program(torch.from_numpy(dataset.test.x.copy()))
    agrees(winner, dataset, found.detach().numpy())
    one = program(torch.from_numpy(dataset.test.x[:1].copy()))  # any number of images
    torch.testing.assert_close(one, found[:1], rtol=1e-4, atol=1e-5)
    assert json.loads(told["analognas.json"])["class_names"] == ["a", "b", "c"]


def test_the_devices_of_an_age_can_be_exported(quiet: Winner, dataset: Dataset, tmp_path: Path) -> None:
    images = torch.from_numpy(dataset.test.x.copy())
    programs = [
        torch.export.load(export(quiet, tmp_path / f"{seconds}.pt2", "pt2", seconds_after_programming=seconds))
        for seconds in (1.0, 2_592_000.0)
    ]
    young, old = (program.module()(images).detach().numpy() for program in programs)
    assert np.abs(young - old).max() > 1e-3
    for seconds, found in ((1.0, young), (2_592_000.0, old)):
        first = quiet.probabilities(dataset.test.x, seconds, repeats=1)[0]
        np.testing.assert_allclose(found, first, atol=1e-5)
    assert not is_programmed(quiet.model)


def test_onnx_agrees_with_the_exported_program(winner: Winner, dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    path = export(winner, tmp_path / "winner.onnx", "onnx")
    session = runtime.InferenceSession(path)
    (found,) = session.run(None, {"images": dataset.test.x})
    agrees(winner, dataset, found)
    program = torch.export.load(export(winner, tmp_path / "winner.pt2", "pt2")).module()
    expected = program(torch.from_numpy(dataset.test.x.copy())).detach().numpy()
    assert np.median(np.abs(found - expected)) < 1e-5
    assert np.abs(found - expected).max() < 0.05  # a sum may fall on the other side of a converter's step
    (one,) = session.run(None, {"images": dataset.test.x[:1]})
    assert one.shape == (1, 3)
    described = json.loads(session.get_modelmeta().custom_metadata_map["analognas"])
    assert described["class_names"] == ["a", "b", "c"]


PLAIN = """
import sys
sys.modules["analognas"] = None  # it cannot be imported
import numpy as np, torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from aihwkit.nn.modules.container import AnalogWrapper
from aihwkit.simulator.tiles.inference_torch import TorchInferenceTile

path, images = sys.argv[1:]
checkpoint = torch.load(path, weights_only=False)
network = AnalogWrapper(checkpoint["network"]).eval()
kinds = {type(layer) for layer in network.modules()}
assert AnalogConv2d in kinds and AnalogLinear in kinds
assert all(type(tile) is TorchInferenceTile for _, tile in network.named_analog_tiles())
levels, told = torch.from_numpy(np.load(images)), checkpoint["preprocessing"]
mean, std = (torch.tensor(told[name]).view(-1, 1, 1) for name in ("mean", "std"))
x = (levels / told["scale"] - mean) / std
found = []
torch.manual_seed(0)
with torch.no_grad():
    for _ in range(12):
        network.program_analog_weights()
        network.drift_analog_weights(86_400.0)
        found.append(torch.softmax(network(x), 1).numpy())
    network.load_state_dict(checkpoint["state_dict"])  # the clean weights again
np.save(images, np.mean(found, axis=0))
"""


def test_plain_aihwkit_programs_and_drifts_it(winner: Winner, dataset: Dataset, tmp_path: Path) -> None:
    path = export(winner, tmp_path / "winner.pt", "aihwkit")
    np.save(tmp_path / "images.npy", dataset.test.x)
    command = [sys.executable, "-c", PLAIN, str(path), str(tmp_path / "images.npy")]
    subprocess.run(command, check=True, cwd=tmp_path)
    agrees(winner, dataset, np.load(tmp_path / "images.npy"), 86_400.0)


def test_its_state_fits_a_network_that_aihwkit_converted(
    winner: Winner, architecture: Architecture, dataset: Dataset, tmp_path: Path
) -> None:
    from aihwkit.nn.conversion import convert_to_analog

    from analognas.hardware.rpu_config import rpu_config

    path = export(winner, tmp_path / "winner.pt", "aihwkit")
    torch.manual_seed(0)
    analog = convert_to_analog(architecture.build(), rpu_config(HardwareParams(tile_size=32))).eval()
    analog.load_state_dict(torch.load(path, weights_only=False)["state_dict"])
    with torch.no_grad():
        found = torch.softmax(analog(dataset.tensors("test")[0]), 1).numpy()
    agrees(winner, dataset, found)


def test_what_cannot_be_exported_is_refused(
    winner: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    with pytest.raises(ParamsError, match="no format 'tflite'; there are aihwkit, pt2, onnx"):
        export(winner, tmp_path / "x", "tflite")
    with pytest.raises(ParamsError, match="give no time"):
        export(winner, tmp_path / "x", "aihwkit", seconds_after_programming=1.0)
    with pytest.raises(ParamsError, match="is no time"):
        export(winner, tmp_path / "x", "pt2", seconds_after_programming=-1.0)
    monkeypatch.setattr(exports, "find_spec", lambda name: None)
    with pytest.raises(WorkspaceError, match=r"ONNX needs onnx and onnxscript: pip install 'analognas\[onnx\]'"):
        export(winner, tmp_path / "x", "onnx")
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(WorkspaceError, match="there already, and stays as it is"):
        export(winner, tmp_path / "mine", "pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
