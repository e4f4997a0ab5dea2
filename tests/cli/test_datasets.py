import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.datasets import registry
from analognas.datasets.looking import recorded
from analognas.datasets.published import Published
from analognas.datasets.registry import Entry
from analognas.files import read_sealed
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["datasets", *arguments])


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANALOGNAS_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register a dataset of two published files, and return the folder in which somebody brought them."""
    folder = tmp_path / "brought"
    folder.mkdir()
    files = []
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(name.encode() * 100)
        md5 = hashlib.md5((folder / name).read_bytes()).hexdigest()
        files.append(Published(f"http://127.0.0.1:1/{name}", f"md5:{md5}", 500, "two"))
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.register(
        Entry("two-files", "analognas.datasets.digits:load", licence="CC0", source="here", files=tuple(files))
    )
    return folder


@pytest.mark.parametrize("arguments", [("--json",), ("list", "--json")])
def test_list(arguments: tuple[str, ...]):
    entries = {entry["name"]: entry for entry in json.loads(call(*arguments).stdout)}
    assert {"digits", "cifar10", "cifar100", "fashion-mnist", "kws", "vww", "image-folder", "arrays"} <= set(entries)
    assert entries["digits"]["available"]
    assert not entries["kws"]["available"]
    assert entries["kws"]["download_bytes"] == 2_428_923_189


def test_list_as_text():
    listed = CliRunner().invoke(main, ["datasets", "list"], env={"COLUMNS": "200"}).output
    assert "fashion-mnist" in listed
    assert "analognas[bench]" in listed  # no style of rich
    assert "analognas-bench" in CliRunner().invoke(main, ["datasets", "list"], env={"COLUMNS": "80"}).output


def test_fetch_from_a_folder(published: Path, cache_folder: Path):
    result = call("fetch", "two-files", "--from", str(published), "--json")
    assert result.exit_code == 0, result.output
    places = [cache_folder / "two" / name for name in ("a.bin", "b.bin")]
    assert json.loads(result.stdout) == {"two-files": [str(place) for place in places]}
    assert all(place.read_bytes() == (published / place.name).read_bytes() for place in places)
    assert call("fetch", "two-files").exit_code == 0  # they are there: no network is needed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("fetch", "two-files"),
            "a.bin (the server cannot be reached); get a.bin",
        ),
        (("fetch", "two-files", "--from", "nowhere"), "There is no folder nowhere; name the one that a.bin is in"),
        (("fetch", "digits"), "Dataset digits is not downloaded: embedded; nothing to download"),
        (("fetch", "two-files", "vww"), "Dataset vww is not downloaded: needs --path DIR"),
        (("fetch", "digitz"), "There is no dataset 'digitz'; did you mean 'digits'"),
        (("check", "image-folder"), "needs the folder of your images"),
        (("check", "arrays", "--path", "nowhere"), "There is no nowhere"),
        (("check", "--path", "nowhere"), "--path needs the NAME of what reads it: cifar10, cifar100, "),
        (("check", "--path", "nowhere"), ", image-folder, arrays"),
        (("check",), "analognas init"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], message: str, published: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(published)
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr.splitlines()[-1]
    assert not list(cache_folder.rglob("*.bin"))


def test_check_tells_what_is_in_it():
    found = json.loads(call("check", "digits", "--json").stdout)
    assert found["sizes"] == {"train": 1000, "validation": 397, "test": 400}
    counts = found["class_counts"]
    assert list(counts) == list("0123456789")
    assert sum(count["test"] for count in counts.values()) == 400
    text = call("check", "digits").output
    assert "1x8x8, 10 classes, 1,000 train, 397 validation, 400 test" in text
    assert found["digest"] in text


def test_check_of_a_path(tmp_path: Path):
    np.savez(tmp_path / "set.npz", x=np.arange(480).astype(np.uint8).reshape(30, 4, 4), y=np.arange(30) % 3)
    found = json.loads(call("check", "arrays", "--path", str(tmp_path / "set.npz"), "--json").stdout)
    assert found["class_counts"]["2"] == {"train": 6, "validation": 2, "test": 2}


def test_check_of_the_workspace(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(workspace.root)
    found = json.loads(call("check", "--json").stdout)
    kept = read_sealed(workspace.dataset, remedy="")
    assert {key: found[key] for key in kept if key != "looked"} | {"looked": recorded(found)} == kept


def test_check_finds_a_damaged_download(published: Path, cache_folder: Path):
    call("fetch", "two-files", "--from", str(published))
    assert call("check", "two-files").exit_code == 0
    (cache_folder / "two" / "b.bin").write_bytes(b"damaged")
    result = call("check", "two-files")
    assert result.exit_code == 2
    assert "b.bin is damaged (its checksum is wrong): remove it" in result.stderr
