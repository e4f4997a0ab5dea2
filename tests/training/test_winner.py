from __future__ import annotations

import copy
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from analognas.datasets import Dataset
from analognas.errors import CorruptFileError, DatasetError, MismatchError, ParamsError, WorkspaceError
from analognas.files import digest, file_digest, write_json
from analognas.hardware.analog import clean_state, is_programmed, tiles
from analognas.params import HardwareParams, TrainingParams
from analognas.search_spaces.architecture import Architecture
from analognas.training import Characterization, Winner, characterize, load_winner, save_winner

FILES = {"architecture.json", "card.md", "hardware.json", "model.safetensors", "preprocessing.json", "winner.json"}


@pytest.fixture(scope="module")
def measured(architecture: Architecture, dataset: Dataset, protocol: TrainingParams) -> Characterization:
    many = protocol.model_copy(update={"repeats": 4})
    return characterize(architecture, dataset, HardwareParams(tile_size=32), many, seed=3, part="test")


@pytest.fixture
def folder(measured: Characterization, dataset: Dataset, tmp_path: Path) -> Path:
    save_winner(tmp_path / "winner", measured, dataset)
    return tmp_path / "winner"


def rewrite(folder: Path, **changes: Any) -> None:
    """Change winner.json and make its digest fit."""
    content = json.loads((folder / "winner.json").read_text()) | changes
    del content["digest"]
    (folder / "winner.json").write_text(json.dumps({**content, "digest": digest(content)}))


def test_what_is_loaded_is_what_was_saved(folder: Path, measured: Characterization, architecture: Architecture) -> None:
    torch.manual_seed(4)
    winner = load_winner(str(folder))
    after = torch.rand(1)
    torch.manual_seed(4)
    assert torch.equal(torch.rand(1), after)
    assert {path.name for path in folder.iterdir()} == FILES
    assert winner.architecture == architecture
    assert winner.hardware == HardwareParams(tile_size=32)
    assert winner.protocol.repeats == 4
    assert (winner.seed, winner.part) == (3, "test")
    assert winner.row == measured.row
    assert winner.dataset["name"] == "patterns"
    np.testing.assert_array_equal(winner.accuracy, measured.accuracy)
    assert measured.model is not None
    saved, loaded = clean_state(measured.model), clean_state(winner.model)
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)
    assert not winner.model.training


def test_a_loaded_winner_gives_the_stored_drift_curve(folder: Path, dataset: Dataset) -> None:
    winner = load_winner(folder)
    torch.manual_seed(77)
    np.testing.assert_array_equal(winner.drift_curve(dataset), winner.accuracy)
    np.testing.assert_array_equal(winner.drift_curve(dataset), winner.accuracy)  # and again
    part = winner.drift_curve(dataset.tensors("test"), times=(86400.0,), repeats=2)
    np.testing.assert_array_equal(part, winner.accuracy[:2, 2:3])


WINNERS = Path(__file__).parent / "winners"


def silent_outputs(winner: Winner, dataset: Dataset) -> Tensor:
    """Return the outputs of the clean weights for the test images, the noise of the converters off."""
    silent = copy.deepcopy(winner.model)
    for _, tile in tiles(silent):
        tile.rpu_config.forward.out_noise = 0.0
    with torch.no_grad():
        return silent(dataset.tensors("test")[0])


@pytest.mark.parametrize("made_with", ["1.1.0", "1.2.0"])
def test_a_winner_loads_under_every_aihwkit(
    made_with: str, architecture: Architecture, dataset: Dataset, protocol: TrainingParams
) -> None:
    """One was saved under each; ANALOGNAS_WRITE_WINNERS=1 saves that of the Python at hand anew."""
    folder, expected = WINNERS / f"aihwkit-{made_with}", WINNERS / f"aihwkit-{made_with}.json"
    if os.environ.get("ANALOGNAS_WRITE_WINNERS") and version("aihwkit") == made_with:
        longer = protocol.model_copy(update={"epochs": 12, "hwa_epochs": 8, "repeats": 4})
        done = characterize(architecture, dataset, HardwareParams(tile_size=32), longer, seed=3, part="test")
        save_winner(folder, done, dataset)
        write_json(expected, silent_outputs(load_winner(folder), dataset).tolist())
    winner = load_winner(folder)
    outputs, recorded = silent_outputs(winner, dataset), torch.tensor(json.loads(expected.read_text()))
    # On another processor a sum may fall on the other side of a converter's step.
    assert (outputs - recorded).abs().mean() < 0.01 * recorded.abs().max()
    assert (outputs.argmax(1) == recorded.argmax(1)).all()
    measured = winner.drift_curve(dataset)
    assert measured.shape == winner.accuracy.shape == (4, 4)
    assert winner.accuracy.mean() > 60  # a third is chance
    assert abs(measured.mean() - winner.accuracy.mean()) < 5
    assert (winner.architecture, winner.hardware.tile_size) == (architecture, 32)


def test_other_data_needs_to_be_given_as_such(folder: Path, dataset: Dataset) -> None:
    import dataclasses

    winner = load_winner(folder)
    other = dataclasses.replace(dataset, split_digest="other")
    with pytest.raises(MismatchError, match="other"):
        winner.drift_curve(other)
    assert winner.drift_curve(dataset.tensors("validation"), repeats=1).shape == (1, 4)


def test_saving_is_byte_identical_and_replaces_a_winner_alone(
    folder: Path, measured: Characterization, dataset: Dataset, tmp_path: Path
) -> None:
    before = file_digest(folder)
    save_winner(folder, measured, dataset)
    assert file_digest(folder) == before
    (folder / "stray.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"holds stray\.txt"):
        save_winner(folder, measured, dataset)
    (folder / "stray.txt").unlink()
    assert file_digest(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["winner"]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())


def test_a_failed_save_leaves_the_old_winner(
    folder: Path, measured: Characterization, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file_digest(folder)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("analognas.training.winner.clean_state", fail)
    with pytest.raises(KeyboardInterrupt):
        save_winner(folder, measured, dataset)
    assert file_digest(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["winner"]


def test_there_is_no_pickle_and_no_path_in_it(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        assert b"pickle" not in content
        assert str(tmp_path).encode() not in content
    header = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(header[:8], "little")
    assert all(entry["dtype"] in ("F32", "I64") for entry in json.loads(header[8 : 8 + size]).values())


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named_with_the_remedy(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CorruptFileError, match=rf"{name} is missing: .*analognas stage train"):
        load_winner(folder)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_damaged_file_is_named_with_the_remedy(folder: Path, name: str, how: str) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    else:
        place = content.rindex(b"7") if name.endswith(".json") else len(content) - 3
        content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=rf"{name} is damaged.*analognas stage train"):
        load_winner(folder)


def test_a_format_of_another_version_is_refused(folder: Path) -> None:
    rewrite(folder, format=99)
    with pytest.raises(CorruptFileError, match="format 99"):
        load_winner(folder)


def test_weights_of_another_architecture_are_refused(
    folder: Path, measured: Characterization, dataset: Dataset, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    state = load_file(path)
    state.popitem()
    save_file(state, path)
    files = json.loads((folder / "winner.json").read_text())["files"]
    rewrite(folder, files=files | {"model.safetensors": file_digest(path)})
    with pytest.raises(CorruptFileError, match="does not fit its architecture"):
        load_winner(folder)


def test_hardware_that_changed_is_a_mismatch(folder: Path) -> None:
    hardware = json.loads((folder / "hardware.json").read_text())
    hardware["description"]["forward"]["out_noise"] = 0.05
    (folder / "hardware.json").write_text(json.dumps(hardware))
    files = json.loads((folder / "winner.json").read_text())["files"]
    rewrite(folder, files=files | {"hardware.json": file_digest(folder / "hardware.json")})
    with pytest.raises(MismatchError, match=r"out_noise was 0\.05 and is 0\.04"):
        load_winner(folder)


def test_a_failed_characterization_cannot_be_saved(
    architecture: Architecture, dataset: Dataset, protocol: TrainingParams, tmp_path: Path
) -> None:
    failed = characterize(architecture, dataset, HardwareParams(), protocol, seed=0, max_params=1)
    with pytest.raises(ValueError, match="1 are allowed"):
        save_winner(tmp_path / "winner", failed, dataset)
    assert not (tmp_path / "winner").exists()


def test_it_predicts_what_was_measured(folder: Path, dataset: Dataset) -> None:
    winner = load_winner(folder)
    for place, time in enumerate(winner.protocol.times):
        probabilities = winner.probabilities(dataset.test.x, time)
        right = probabilities.argmax(axis=2) == dataset.test.y
        np.testing.assert_allclose(100 * right.mean(axis=1), winner.accuracy[:, place])
    aged, young = (winner.predict(dataset.test.x, time) for time in (2_592_000, 1))
    assert not aged["confidence"].equals(young["confidence"])


def test_a_prediction_is_a_row_with_its_spread_over_programmings(folder: Path, dataset: Dataset) -> None:
    winner = load_winner(folder)
    torch.manual_seed(1)
    found = winner.predict(dataset.test.x)
    pd.testing.assert_frame_equal(found, winner.predict(dataset.test.x, 86_400.0))
    assert list(found) == ["input", "class", "class_name", "confidence", "confidence_std", "agreement"]
    assert found["input"].tolist() == list(range(30))
    probabilities = winner.probabilities(dataset.test.x)
    mean = probabilities.mean(axis=0)
    np.testing.assert_array_equal(found["class"], mean.argmax(axis=1))
    np.testing.assert_array_equal(found["class_name"], [dataset.class_names[place] for place in mean.argmax(axis=1)])
    np.testing.assert_allclose(found["confidence"], mean.max(axis=1))
    chosen = probabilities[:, np.arange(30), mean.argmax(axis=1)]
    np.testing.assert_allclose(found["confidence_std"], chosen.std(axis=0, ddof=1))
    np.testing.assert_allclose(found["agreement"], (probabilities.argmax(axis=2) == mean.argmax(axis=1)).mean(axis=0))
    alone = winner.predict(dataset.test.x[:3], repeats=1)
    assert alone["agreement"].tolist() == [1.0] * 3
    assert alone["confidence_std"].tolist() == [0.0] * 3


def test_arrays_and_tensors_of_any_type_mean_the_same(folder: Path, dataset: Dataset) -> None:
    winner = load_winner(folder)
    expected = winner.predict(dataset.test.x)
    bytes_ = torch.from_numpy(dataset.test.x.copy())
    for inputs in (bytes_, bytes_ / 255, bytes_.numpy() / 255, list(dataset.test.x), dataset.test.x.tolist()):
        pd.testing.assert_frame_equal(winner.predict(inputs), expected)


def test_inputs_that_cannot_be_known_are_refused(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    winner = load_winner(folder)
    with pytest.raises(DatasetError, match="where 0 to 1 is expected"):
        winner.predict(dataset.tensors("test")[0])
    with pytest.raises(DatasetError, match="either paths or one array"):
        winner.predict([tmp_path / "a.png", dataset.test.x[0]])
    with pytest.raises(DatasetError, match="does not say how a file becomes an image"):
        winner.predict(str(tmp_path / "a.png"))
    with pytest.raises(DatasetError, match="images of one shape"):
        winner.predict([[1, 2], [3]])
    for sound in ((np.zeros(800), 8000), [(np.zeros(800), 8000)] * 2):
        with pytest.raises(DatasetError, match="are a recording; this winner takes arrays, no files"):
            winner.predict(sound)
    for nothing in ([], dataset.test.x[:0]):
        with pytest.raises(DatasetError, match="nothing to classify"):
            winner.predict(nothing)
    with pytest.raises(DatasetError, match="ask at least one"):
        winner.predict(dataset.test.x, repeats=0)
    for time in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ParamsError, match="is no time after programming"):
            winner.predict(dataset.test.x, time)
    assert not is_programmed(winner.model)


def test_a_winner_of_another_preprocessing_is_refused(folder: Path) -> None:
    path = folder / "preprocessing.json"
    write_json(path, json.loads(path.read_text()) | {"files": "films"})
    files = json.loads((folder / "winner.json").read_text())["files"]
    rewrite(folder, files=files | {"preprocessing.json": file_digest(path)})
    with pytest.raises(CorruptFileError, match=r"preprocessing\.json is damaged .*'films'"):
        load_winner(folder)
