import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from analognas.datasets import Dataset, Origin, assemble, load
from analognas.datasets.preprocessing import Preprocessing
from analognas.errors import AnalogNASWarning, ContentError, DatasetError

SHAPE = (3, 6, 5)
X = np.random.default_rng(0).integers(0, 256, (12, *SHAPE), dtype=np.uint8)
Y = np.arange(12) % 2
SPLIT = {"train": np.arange(6), "validation": np.arange(6, 9), "test": np.arange(9, 12)}


PICTURES = Origin(files="images")


def toy(x: Any = X, origin: Origin = PICTURES, **options: Any) -> Dataset:
    return assemble("toy", x, Y, SPLIT, class_names=("cat", "dog"), origin=origin, **options)


@pytest.fixture(scope="module")
def pictures() -> Preprocessing:
    return Preprocessing.of(toy())


def grey(origin: Origin = PICTURES, scale: float = 16.0) -> Preprocessing:
    x = np.random.default_rng(0).integers(0, int(scale) + 1, (12, 1, 8, 8), dtype=np.uint8)
    return Preprocessing.of(toy(x, origin, scale=scale))


def test_it_is_the_normalisation_of_the_dataset():
    data = toy()
    np.testing.assert_array_equal(Preprocessing.of(data).normalised(data.test.x), data.tensors("test")[0].numpy())


def test_the_axes_of_arrays(pictures: Preprocessing):
    for values in (X, X.transpose(0, 2, 3, 1), X.astype(np.int64), X / np.float32(255), X / 255):
        np.testing.assert_array_equal(pictures.levels(values), X)
    for values in (X[0], X[0].transpose(1, 2, 0)):
        np.testing.assert_array_equal(pictures.levels(values), X[:1])
    one = grey()
    for shape in ((2, 1, 8, 8), (2, 8, 8), (2, 8, 8, 1), (8, 8), (1, 8, 8), (8, 8, 1)):
        assert one.levels(np.zeros(shape, np.uint8)).shape[1:] == (1, 8, 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3, 6, 6), np.uint8), r"shape \(2, 3, 6, 6\); the winner takes \(N, 3, 6, 5\) or \(N, 6, 5, 3\)"),
        (X.astype(float), "floating-point numbers from 0 to 255, where 0 to 1 is expected: give integers"),
        (X / 255 - 0.5, r"floating-point numbers from -0\.5 to 0\.5, where 0 to 1"),
        (X.astype(int) * 2, "levels from 0 to 510; those of the dataset are 0 to 255"),
        (X > 9, "truth values; give levels"),
        (np.full(SHAPE, np.nan), "not finite"),
        (X.astype("U"), "images are numbers"),
    ],
)
def test_what_cannot_be_known_is_refused(pictures: Preprocessing, values: Any, message: str):
    with pytest.raises(DatasetError, match=message):
        pictures.levels(values)


def test_levels_beyond_those_of_the_dataset_are_refused():
    with pytest.raises(DatasetError, match="levels from 17 to 17; those of the dataset are 0 to 16"):
        grey().levels(np.full((8, 8), 17, np.uint8))


@pytest.mark.parametrize("numbers", ["floats", "integers"])
def test_arrays_of_ones_own_become_the_bytes_they_were(tmp_path: Path, numbers: str):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6, 5)) * 3 if numbers == "floats" else rng.integers(-40, 4000, (40, 6, 5))
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(40) % 2)
    data = load("arrays", path=str(tmp_path / "x.npz"))
    preprocessing = Preprocessing.of(data)
    made = {image.tobytes() for image in preprocessing.levels(x)}
    assert made == {image.tobytes() for part in ("train", "validation", "test") for image in data.part(part).x}
    with pytest.raises(DatasetError, match="give them on the same scale"):
        preprocessing.levels(x * 2)
    with pytest.warns(AnalogNASWarning, match="taken as the nearest"):
        preprocessing.levels(x + x.std().astype(x.dtype) // 4 + 1)
    np.save(tmp_path / "one.npy", x[0])
    np.testing.assert_array_equal(preprocessing.levels_of_files([tmp_path / "one.npy"]), preprocessing.levels(x[0]))
    if numbers == "integers":
        with pytest.raises(DatasetError, match="Bytes may be the levels 0 to 255 of the dataset or numbers of its"):
            preprocessing.levels(x.astype(np.uint8))
        with pytest.raises(DatasetError, match="are floating-point numbers; those of the dataset's file are int"):
            preprocessing.levels(x / 2)


def test_files_of_arrays_are_one_image_each(tmp_path: Path):
    preprocessing = Preprocessing.of(toy(origin=Origin(files="arrays")))
    np.save(tmp_path / "two.npy", X[:2])
    np.save(tmp_path / "objects.npy", np.array([None, {}]), allow_pickle=True)
    with pytest.raises(DatasetError, match=r"2 of 2 files .*two\.npy .*has 2 images.*objects\.npy cannot be read as a"):
        preprocessing.levels_of_files([tmp_path / "two.npy", tmp_path / "objects.npy"])


def test_pictures_are_read_as_the_dataset_reads_them(tmp_path: Path):
    for number, image in enumerate(X):
        folder = tmp_path / "data" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).resize((11, 9)).save(folder / f"{number}.png")
    data = load("image-folder", path=str(tmp_path / "data"), image_size=8)
    paths = [tmp_path / "data" / name for name in data.train.names]
    np.testing.assert_array_equal(Preprocessing.of(data).levels_of_files(paths), data.train.x)


def test_recordings_are_read_as_the_dataset_reads_them(tmp_path: Path):
    rng = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / ("low", "high")[number % 2]
        folder.mkdir(exist_ok=True)
        tone = np.sin(np.arange(4000) * (0.05 + 0.5 * (number % 2))) * 9000 + rng.normal(size=4000) * 500
        wavfile.write(folder / f"{number}.wav", 8000, tone.astype(np.int16))
    data = load("kws", path=str(tmp_path), features="log-mel", seconds=0.5, image_size=12)
    preprocessing = Preprocessing.from_dict(json.loads(json.dumps(Preprocessing.of(data).to_dict())))
    paths = [tmp_path / name for name in data.test.names]
    np.testing.assert_array_equal(preprocessing.levels_of_files(paths), data.test.x)
    sounds = [wavfile.read(path)[::-1] for path in paths]
    np.testing.assert_array_equal(preprocessing.levels_of_sounds(sounds), data.test.x)
    samples, rate = sounds[0]
    stereo = np.stack([samples, samples], axis=1) / 32768.0  # full scale of 16 bits is 1
    np.testing.assert_array_equal(preprocessing.levels_of_sounds([(stereo, rate)]), data.test.x[:1])
    for wrong, message in (
        ((samples.astype(float), rate), "Recording 0 holds samples beyond -1 to 1; give integers"),
        ((samples, 10), "has 10 samples per second"),
        ((samples[:0], rate), r"is int16 \(0,\); give numbers"),
    ):
        with pytest.raises(DatasetError, match=message):
            preprocessing.levels_of_sounds([wrong])
    (tmp_path / "no.wav").write_bytes(b"no sound")
    with pytest.raises(DatasetError, match=r"no\.wav cannot be read as a WAV file \(it is no WAV file\).*recordings"):
        preprocessing.levels_of_files([tmp_path / "no.wav"])
    with pytest.raises(DatasetError, match="no such file"):
        preprocessing.levels_of_files([tmp_path / "none.wav"])


def png(levels: np.ndarray) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "png")
    return buffer


def test_levels_of_a_dataset_with_fewer_come_back_from_pictures(tmp_path: Path):
    levels = np.arange(64, dtype=np.uint8).reshape(8, 8) % 17
    (tmp_path / "spread.png").write_bytes(png(np.round(levels * (255 / 16)).astype(np.uint8)).getvalue())
    np.testing.assert_array_equal(grey().levels_of_files([tmp_path / "spread.png"])[0, 0], levels)
    (tmp_path / "dark.png").write_bytes(png(levels).getvalue())
    with pytest.raises(DatasetError, match=r"dark\.png cannot be told from the dataset's own levels of 0 to 16"):
        grey().levels_of_files([tmp_path / "dark.png"])


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path, pictures: Preprocessing):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "good.png").write_bytes(png(X[0].transpose(1, 2, 0)).getvalue())
    paths = [tmp_path / name for name in ("text.png", "good.png", "none.png", "neither.png")]
    with pytest.raises(DatasetError, match=r"3 of 4 files cannot be used: .*this winner takes pictures") as caught:
        pictures.levels_of_files(paths)
    assert f"{paths[0]} cannot be read as an image (it is of no format" in str(caught.value)
    assert f"{paths[2]}, {paths[3]} cannot be read as an image (No such file or directory)" in str(caught.value)


def test_a_dataset_that_does_not_tell_how_files_become_images_takes_none(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"give arrays, or let its loader say it, as assemble\(.*Origin\(files"):
        Preprocessing.of(toy(origin=Origin())).levels_of_files([tmp_path])


@pytest.mark.parametrize(
    "origin",
    [
        Origin(),
        Origin("images"),
        Origin("arrays", None, "floating-point numbers", (-1.5, 2.5)),
        Origin("recordings", ("mfcc", 1.0, None)),
    ],
)
def test_what_is_written_is_read_again(origin: Origin):
    made = Preprocessing.of(toy(origin=origin))
    assert Preprocessing.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.takes


@pytest.mark.parametrize(
    "change",
    [
        {"files": "films"}, {"files": "recordings"}, {"mean": [0.5]}, {"std": None}, {"input_shape": [3, 6]},
        {"class_names": []}, {"sound": {"rate": 8000}}, {"span": "x"},
    ],
)  # fmt: skip
def test_something_else_is_refused(pictures: Preprocessing, change: dict[str, Any]):
    with pytest.raises(ContentError):
        Preprocessing.from_dict(pictures.to_dict() | change)
