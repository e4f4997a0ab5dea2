import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from analognas.datasets import describe, load
from analognas.datasets.looking import doubts, lines, look, of_data, recorded, table
from analognas.errors import AnalogNASWarning

DRAWS = np.random.default_rng(0)


def picture(path, values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = DRAWS.integers(0, 256, (4, 4, 3), dtype=np.uint8) if values is None else values
    Image.fromarray(values).save(path)
    return values


def folder(root, parts=("train", "test"), classes=("cat", "dog"), count=5):
    for part in parts:
        for name in classes:
            for index in range(count):
                picture(root / part / name / f"{index}.png")
    return root


def looked(root, name="image-folder"):
    return look(load(name, path=str(root)))


def test_what_is_told_of_every_dataset():
    found = look(load("digits"))
    assert found["sizes"] == {"train": 1000, "validation": 397, "test": 400}
    assert sum(row["test"] for row in found["class_counts"].values()) == 400
    assert found["levels"]["train"] == {"least": 0, "greatest": 16, "mean": 4.89, "levels": 17}
    assert found["alike"]["in_two_parts"] == {"count": 0, "examples": []}
    assert found["alike"]["repeated"] == 0
    assert "reading" not in found
    assert doubts(found) == []
    assert all(found[key] == value for key, value in describe(load("digits")).items())
    json.dumps(found, allow_nan=False)


def test_images_in_two_parts_and_two_classes_are_found_by_their_content(tmp_path):
    root = folder(tmp_path / "set")
    values = picture(root / "train" / "cat" / "0.png")
    for place in ("test/cat/copy.bmp", "train/dog/wrong.png", "train/cat/again.png"):
        picture(root / place, values)
    found = looked(root)
    assert {name: found["alike"][name]["count"] for name in ("in_two_parts", "in_two_classes")} in (
        {"in_two_parts": 1, "in_two_classes": 1},  # validation is split off train: there any of them may be
        {"in_two_parts": 2, "in_two_classes": 1},
    )
    assert (
        sum(found["alike"][name]["count"] for name in ("in_two_parts", "in_two_classes")) + found["alike"]["repeated"]
        >= 3
    )
    names = {"test/cat/copy.bmp", "train/dog/wrong.png", "train/cat/again.png", "train/cat/0.png"}
    for key in ("in_two_parts", "in_two_classes"):
        assert all(set(pair) <= names for pair in found["alike"][key]["examples"])
    told = doubts(found)
    assert "alike in two parts: " in told[0]
    assert told[1].endswith("at least one of each pair is labelled wrongly")
    assert found["notes"][:2] == told
    assert any(line.startswith("alike") and "test/cat/copy.bmp" in line for line in lines(found))


def test_what_was_read_and_what_was_not(tmp_path):
    root = folder(tmp_path / "set", parts=("training_set", "test_set"))
    (root / "test_set" / "cat" / "x.heic").write_bytes(b"")
    (root / "training_set" / "cat" / "@eaDir").mkdir()
    with pytest.warns(AnalogNASWarning, match="1 .heic passed over"):
        found = looked(root)
    assert found["reading"]["read"] == {".png": 20}
    assert found["reading"]["passed_over"] == {".heic": 1}
    assert found["reading"]["leftovers"] == {"@eaDir": 1}
    assert found["split_off"] == ["validation"]
    text = list(lines(found))
    for line in (
        "read           20 .png", "passed over    1 .heic", "leftovers      1 @eaDir", "sizes          all are 4x4",
        "parts          train from training_set; test from test_set; validation split off here",
    ):  # fmt: skip
        assert line in text
    kept = recorded(found)
    assert kept["reading"]["leftovers"] == {}  # of one copy of the data
    assert str(tmp_path) not in json.dumps(kept)
    assert set(text) - set(of_data(kept)) == {*text[:5], "leftovers      1 @eaDir"}


def test_who_is_heard_where(tmp_path):
    for part, speakers in (("train", ("anna", "bela", "carl", "dora")), ("test", ("anna", "emil"))):
        for speaker in speakers:
            for label in ("no", "yes"):
                path = tmp_path / part / label / f"{label}_{speaker}_0.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                wavfile.write(path, 8_000, (DRAWS.normal(size=4_000) * 3_000).astype(np.int16))
    with pytest.warns(AnalogNASWarning, match=r"1 speakers \(anna\) are heard in train and in test, so test"):
        found = looked(tmp_path, "kws")
    heard = found["reading"]["speakers"]
    assert heard["test"] == ["anna", "emil"]
    assert len(heard["train"]) == 3
    assert len(heard["validation"]) == 1
    (line,) = (line for line in lines(found) if line.startswith("speakers"))
    assert line.endswith("2 test (anna, emil); 1 (anna) in two parts")
    kept = recorded(found)
    assert kept["reading"]["speakers"] == {"train": 3, "validation": 1, "test": 2}
    assert "emil" not in json.dumps(kept)
    assert "speakers       3 train, 1 validation, 2 test; 1 in two parts" in of_data(kept)


def test_ranges_of_arrays(tmp_path):
    x = DRAWS.random((30, 4, 4)) * 7
    np.savez(tmp_path / "set.npz", x=x, y=np.arange(30) % 3)
    text = list(lines(looked(tmp_path / "set.npz", "arrays")))
    assert f"range          train: {x.min():g} to {x.max():g}" in text
    assert "levels         train: " in "\n".join(text)


@pytest.mark.parametrize(("classes", "height"), [(3, 4), (14, 15), (100, 16)])
def test_it_is_one_screen(tmp_path, classes, height):
    x = DRAWS.integers(0, 256, (classes * 5, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", x=x, y=np.arange(classes * 5) % classes)
    found = looked(tmp_path / "set.npz", "arrays")
    shown = list(table(found))
    assert len(shown) == height
    assert (f"... {classes - 14} classes between" in "\n".join(shown)) == (classes > 14)
    assert len([*lines(found), *shown]) <= 40


def test_what_was_recorded_is_told_in_the_order_of_the_parts(tmp_path):
    root = folder(tmp_path / "set", parts=("training_set", "test_set"))
    kept = json.loads(json.dumps(recorded(looked(root)), sort_keys=True))
    told = [line.split()[1] for line in of_data(kept) if line.startswith("levels")]
    assert told == ["train:", "validation:", "test:"]
    assert any(line.startswith("parts          train from training_set; test from test_set") for line in of_data(kept))
