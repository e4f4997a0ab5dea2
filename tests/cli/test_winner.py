from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from analognas.cli import main
from analognas.datasets import load
from analognas.training import load_winner
from analognas.workspace import Paths


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def pictures(folder: Path, levels: np.ndarray) -> list[Path]:
    """Return digits, uint8 (N, 1, 8, 8) of 0 to 16, as PNG files."""
    folder.mkdir()
    paths = [folder / f"{number:03}.png" for number in range(len(levels))]
    for path, image in zip(paths, levels, strict=True):
        Image.fromarray(np.round(image[0] * (255 / 16)).astype(np.uint8)).save(path)
    return paths


def test_pictures_of_the_test_images_are_classified_as_the_pipeline_measured(
    finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished.root)
    data, winner = load("digits"), load_winner(finished.winner)
    paths = pictures(tmp_path / "pictures", data.test.x)
    told = json.loads(call("predict", *paths, "--after", "30d", "--json").stdout)
    assert (told["winner"], told["seconds_after_programming"]) == (winner.architecture.id, 2_592_000.0)
    assert [row["file"] for row in told["predictions"]] == list(map(str, paths))
    direct = winner.predict(data.test.x, 2_592_000)
    classes = [row["class"] for row in told["predictions"]]
    assert classes == direct["class"].tolist()
    assert [row["confidence"] for row in told["predictions"]] == pytest.approx(direct["confidence"].tolist())
    measured = winner.accuracy[:, list(winner.protocol.times).index(2_592_000.0)]
    by_programming = winner.probabilities(winner.preprocessing.levels_of_files(paths), 2_592_000).argmax(axis=2)
    np.testing.assert_allclose(100 * (by_programming == data.test.y).mean(axis=1), measured)
    assert 100 * np.mean(np.array(classes) == data.test.y) >= measured.min()
    # What was wrong once: the images without the normalisation of the training.
    wrong = torch.from_numpy(data.test.x / np.float32(16))
    with torch.no_grad():
        assert (winner.model(wrong).argmax(1).numpy() == data.test.y).mean() < np.mean(np.array(classes) == data.test.y)


def test_it_tells_a_line_for_each_file(finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    paths = pictures(tmp_path / "pictures", load("digits").test.x[:3])
    lines = call("predict", *paths, "--repeats", 3).stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{paths[0]}: ")
    assert " % confident, " in lines[0]
    assert lines[0].endswith(" of 3 programmings agree")


def test_an_age_at_which_nothing_was_measured_is_told(finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    (path,) = pictures(tmp_path / "pictures", load("digits").test.x[:1])
    done = call("predict", path, "--repeats", 1, "--after", "365d", "--json")
    assert json.loads(done.stdout)["predictions"]
    assert done.stderr == (
        "analognas: nothing was measured of devices older than 30d: how accurate these answers are is not known.\n"
    )
    assert call("predict", path, "--repeats", 1, "--after", "30d").stderr == ""


def test_all_files_that_cannot_be_read_are_named_in_one_sentence(
    finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (good,) = pictures(tmp_path / "pictures", load("digits").test.x[:1])
    (tmp_path / "text.png").write_text("no picture")
    done = call("predict", good, "text.png", "none.png", "--winner", finished.winner, "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["kind"] == "DatasetError"
    assert done.stderr.startswith("analognas: 2 of 3 files cannot be used: text.png ")
    assert "none.png" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("time", ["30", "soon", "0s"])
def test_a_time_that_is_none_is_refused(finished: Paths, time: str):
    done = call("predict", "a.png", "--winner", finished.winner, "--after", time)
    assert done.exit_code == 2
    assert f"'{time}' is no time after programming: write 1s, 10min, 1h, 1d or 30d" in done.stderr


def test_without_a_winner_it_says_what_to_do(workspace: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(workspace.root)
    done = call("predict", "a.png")
    assert done.exit_code == 2
    assert "data/winner is missing" in done.stderr
    monkeypatch.chdir(tmp_path)
    assert call("predict", "a.png").exit_code == 2


@pytest.mark.filterwarnings("ignore:The given buffer is not writable:UserWarning")  # of torch.export.load itself
def test_a_winner_is_exported_for_other_tools(finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    path = tmp_path / "winner.pt2"
    told = json.loads(call("export", path, "--format", "pt2", "--after", "30d", "--json").stdout)
    assert told["bytes"] == path.stat().st_size
    assert told["seconds_after_programming"] == 2_592_000.0
    digits = load("digits").test.x
    found = torch.export.load(path).module()(torch.from_numpy(digits.copy())).detach().numpy().argmax(axis=1)
    first = load_winner(finished.winner).probabilities(digits, 2_592_000, repeats=1)[0].argmax(axis=1)
    assert (found == first).mean() > 0.6  # the converters of the devices are noisy, and this network hardly trained
    again = call("export", path, "--format", "pt2")
    assert again.exit_code == 2
    assert "stays as it is" in again.stderr
    assert call("export", tmp_path / "x", "--format", "tflite").exit_code == 2
