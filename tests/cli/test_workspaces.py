from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from analognas import orchestration
from analognas.cli import main
from analognas.params import Params
from analognas.results import ResultStore
from analognas.setup import probe
from analognas.setup.probe import Speed
from analognas.setup.template import home
from analognas.testing import made_up_result
from analognas.versioning import Versioning
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, on a machine whose speed is known."""
    monkeypatch.setenv("ANALOGNAS_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(probe, "measure", lambda *_: Speed(2e-10, 3e-10, 5e-11))
    monkeypatch.setattr(probe, "start_up", lambda _: (3.0, 0.1))
    monkeypatch.setattr(Versioning, "init", lambda *_: None)  # see test_template
    (tmp_path / "stand").mkdir()
    monkeypatch.chdir(tmp_path / "stand")
    return tmp_path / "stand"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, number in (("cat", 40), ("dog", 10)):
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for index in range(number):
            pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my photos" / name / f"{index}.png")
    return tmp_path / "my photos"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Paths]:
    """Do not run pipelines, but remember where they would."""
    places: list[Paths] = []

    def run_pipeline(paths: Paths, *_: Any, **__: Any) -> Any:
        places.append(paths)
        return SimpleNamespace(notes=(), page=None, tracked=None)

    monkeypatch.setattr(orchestration, "run_pipeline", run_pipeline)
    monkeypatch.setattr("analognas.cli.pipeline._report", lambda *_: None)
    return places


def test_init_for_own_data_tells_what_it_found_and_chose(here: Path, photos: Path) -> None:
    done = call("init", "pets", "--dataset", "image-folder", "--path", str(photos), "--max-params", "20k")
    assert done.exit_code == 0, done.output
    assert "2 classes, images of 3x20x20" in done.stdout
    assert "always answering 'cat' gives 80 %" in done.stdout
    assert "2 h were allowed" in done.stdout
    assert "cd pets && analognas run" in done.stdout
    params = Params.load(here / "pets" / "params.yaml")
    assert (params.dataset.path, params.space.max_params) == (str(photos), 20_000)
    assert params.characterize.batch_size == 16
    # The folder appears whole, with what was chosen in it.
    assert [path.name for path in here.iterdir()] == ["pets"]
    assert Paths.find(here / "pets").dataset.exists()


def test_init_says_it_in_json_too(photos: Path) -> None:
    done = call("init", "pets", "--dataset", "image-folder", "--path", str(photos), "--hours", "0.5", "--json")
    found = json.loads(done.stdout)
    assert found["workspace"].endswith("/pets")
    assert found["fitted"]["images_per_class"] == {"cat": 24, "dog": 6}
    assert found["fitted"]["hours_allowed"] == 0.5
    assert found["fitted"]["params"]["sample.size"] == Params.load(Path("pets/params.yaml")).sample.size


def test_the_templates_protocol_stays_for_its_own_data(here: Path) -> None:
    assert json.loads(call("init", "plain", "--json").stdout) == {"workspace": str(here / "plain")}
    assert Params.load(Path("plain/params.yaml")) == Params()
    assert "fitted" in json.loads(call("init", "short", "--hours", "0.1", "--json").stdout)


def test_quick_is_fitted_to_less_than_three_minutes_and_says_what_it_is_not_good_for(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "measure", lambda *_: Speed(1e-10, 1.5e-10, 2e-11))  # of two cores of a laptop
    fitted = json.loads(call("init", "quick", "--quick", "--json").stdout)["fitted"]
    assert fitted["seconds"] < 180
    assert (fitted["fits"], fitted["first_look"]) == (True, True)
    assert "not for telling apart networks that are close" in call("init", "again", "--quick").stdout
    assert "Not good for telling which network" in " ".join(call("init", "--help").stdout.split())


def test_run_outside_of_a_workspace_makes_one_for_the_data_and_goes_on_in_it(
    here: Path, photos: Path, ran: list[Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("run", "--dataset", "image-folder", "--path", str(photos), "--max-params", "20k", "--hours", "3")
    done = call(*command)
    assert done.exit_code == 0, done.output
    assert ran == [Paths(here / "analognas-my-photos")]
    assert "3 h were allowed" in done.stderr
    assert "analognas-my-photos, where params.yaml says why" in done.stderr
    # The same command again, on a machine that is faster just now: the same workspace, and what was measured counts.
    fitted = (ran[0].params).read_text()
    monkeypatch.setattr(probe, "measure", lambda *_: Speed(1e-11, 1e-11, 1e-12))
    done = call(*command)
    assert done.exit_code == 0, done.output
    assert "is fitted to 3 h already, and stays as it is" in done.stderr
    assert call(*command[:-2]).exit_code == 0
    assert ran == [ran[0]] * 3
    assert ran[0].params.read_text() == fitted


def test_another_folder_of_the_same_name_gets_no_workspace_of_others(
    photos: Path, tmp_path: Path, ran: list[Paths]
) -> None:
    assert call("run", "--dataset", "image-folder", "--path", str(photos)).exit_code == 0
    before = ran[0].params.read_bytes()
    other = shutil.copytree(photos, tmp_path / "others" / photos.name)
    done = call("run", "--dataset", "image-folder", "--path", str(other))
    assert done.exit_code == 2
    assert f"is a workspace for {photos}: make one with another name" in done.stderr
    assert ran[0].params.read_bytes() == before
    assert len(ran) == 1


def test_a_path_means_what_it_says(tmp_path: Path, photos: Path) -> None:
    for name in ("set #1", "cats: all", "日本 照片"):
        folder = shutil.copytree(photos, tmp_path / name)
        done = call("init", "made", "--dataset", "image-folder", "--path", str(folder))
        assert done.exit_code == 0, done.output
        assert Params.load(Path("made/params.yaml")).dataset.path == str(folder)
        shutil.rmtree("made")
    assert home("image-folder", str(tmp_path / "日本 照片")).name == "analognas-日本-照片"


def test_hours_are_a_number() -> None:
    done = call("init", "plain", "--hours", "nan")
    assert done.exit_code == 2
    assert "nan is no number of hours" in done.stderr


def test_results_of_another_protocol_are_told(
    here: Path, photos: Path, ran: list[Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("init", "pets", "--dataset", "image-folder", "--path", str(photos), "--hours", "3")
    monkeypatch.chdir(here / "pets")
    ResultStore.of(Path()).put(*made_up_result(1))
    done = call("run", "--hours", "0.2")
    assert done.exit_code == 0, done.output
    assert "1 stored results are kept; those of the protocol of before are not used by this one." in done.stderr
    assert "stored results" not in call("run", "--hours", "0.2").stderr


def test_run_fits_the_protocol_of_a_workspace_if_it_is_asked_to(
    here: Path, ran: list[Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("init", "plain")
    monkeypatch.chdir(here / "plain")
    assert call("run").exit_code == 0
    assert Params.load(Path("params.yaml")).sample.size == 64
    done = call("run", "--hours", "100", "--set", "train.epochs=3")
    assert "100 h were allowed" in done.stderr
    assert "Yours, and kept: train.epochs." in done.stderr
    params = Params.load(Path("params.yaml"))
    assert (params.sample.size, params.train.epochs) == (256, 3)
    assert ran == [Paths(here / "plain")] * 2


def test_a_fitted_workspace_is_fitted_anew_for_other_data(
    here: Path, photos: Path, tmp_path: Path, ran: list[Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("init", "pets", "--dataset", "image-folder", "--path", str(photos), "--hours", "3")
    monkeypatch.chdir(here / "pets")
    assert Params.load(Path("params.yaml")).search.min_acc_1d == 80.0
    shutil.rmtree(photos / "dog")
    for name in ("dog", "hamster"):
        shutil.copytree(photos / "cat", tmp_path / "more" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # dogs and hamsters have the same pictures
        done = call("run", "--path", str(tmp_path / "more"))
        again = call("run", "--path", str(tmp_path / "more"))
    assert done.exit_code == 0, done.output
    assert "alike in two parts" in done.stderr
    assert "3 h were allowed" in done.stderr
    assert Params.load(Path("params.yaml")).search.min_acc_1d == 50.0
    # The same data again: nothing is fitted.
    assert "h were allowed" not in again.stderr


def test_init_makes_nothing_where_nothing_fits(here: Path) -> None:
    done = call("init", "deep/short", "--hours", "0.01")
    assert done.exit_code == 2
    assert done.stdout == ""
    (said,) = (line for line in done.stderr.splitlines() if line.startswith("analognas: "))
    assert "No run fits 0.01 h" in said
    assert "allow --hours 0." in said
    assert not list(here.iterdir())


def test_what_does_not_fit_is_told_in_json(here: Path, photos: Path) -> None:
    done = call(
        "init", "short", "--dataset", "image-folder", "--path", str(photos), "--hours", "0.1", "--json",
        "--set", "sample.size=999",
    )  # fmt: skip
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert found["exit_code"] == 2
    assert found["error"].startswith("No run fits 0.1 h")
    assert "--set sample.size=" in found["error"]
    assert found["fitted"]["fits"] is False
    assert found["fitted"]["seconds"] > 360
    assert not list(here.iterdir())


def test_a_run_that_does_not_fit_leaves_the_workspace_as_it_is(
    here: Path, ran: list[Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("run", "--dataset", "digits", "--hours", "0.01").exit_code == 2
    assert not list(here.iterdir())
    call("init", "plain")
    monkeypatch.chdir(here / "plain")
    before = Path("params.yaml").read_bytes()
    assert call("run", "--hours", "0.01", "--set", "train.epochs=3").exit_code == 2
    assert Path("params.yaml").read_bytes() == before
    assert not ran


def test_a_short_run_is_said_to_be_one(here: Path, photos: Path) -> None:
    done = call("init", "pets", "--dataset", "image-folder", "--path", str(photos), "--hours", "0.2")
    assert done.exit_code == 0, done.output
    assert "good for a first look" in done.stdout
    assert "good for a first look" in Path("pets/params.yaml").read_text().replace("\n# ", " ")
    assert "first look" not in call("init", "long", "--hours", "20").stdout


def test_bad_data_make_nothing(here: Path, ran: list[Paths]) -> None:
    done = call("run", "--dataset", "image-folder", "--path", "/nowhere")
    assert done.exit_code == 2
    assert "/nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not ran
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("dataset", "path", "name"),
    [
        ("cifar10", None, "analognas-cifar10"),
        ("image-folder", "/data/my pets/", "analognas-my-pets"),
        ("image-folder", "/data/été", "analognas-été"),
        ("a:b", None, "analognas-a-b"),
        ("image-folder", "/", "analognas-workspace"),
    ],
)
def test_the_folder_is_named_after_the_data(here: Path, dataset: str, path: str | None, name: str) -> None:
    assert home(dataset, path) == here / name
