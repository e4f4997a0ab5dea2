import hashlib
import shutil
import tarfile

import numpy as np
import pytest
from scipy.io import wavfile

from analognas.datasets import PARTS, describe, kws, load
from analognas.datasets.published import Published
from analognas.errors import AnalogNASWarning, DatasetError
from analognas.search_spaces import ConfigSpace

RATE = 8_000
SPEAKERS = [f"{index:08x}" for index in range(12)]


def write(path, hertz, seconds=0.5, rate=RATE):
    """Write a tone: its pitch tells the class, its loudness nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 9_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    wavfile.write(path, rate, samples.astype(np.int16))


def write_speech_commands(root, words, lists=True):
    """Write every word once by each of 12 speakers, four of them for validation and test."""
    named = {"validation_list.txt": SPEAKERS[:2], "testing_list.txt": SPEAKERS[2:4]}
    for number, word in enumerate(words):
        for speaker in SPEAKERS:
            write(root / word / f"{speaker}_nohash_0.wav", 300 + 60 * number, 0.1)
    for name, speakers in named.items() if lists else ():
        lines = [f"{word}/{speaker}_nohash_0.wav" for word in words for speaker in speakers]
        (root / name).write_text("\n".join(lines) + "\n")
    for index in range(2):
        noise = np.random.default_rng(index).integers(-3_000, 3_000, 15 * RATE)
        (root / "_background_noise_").mkdir(exist_ok=True)
        wavfile.write(root / "_background_noise_" / f"noise {index}.wav", RATE, noise.astype(np.int16))
    (root / "README.md").write_text("Speech Commands")
    return root


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return write_speech_commands(tmp_path_factory.mktemp("sc") / "set", [*kws.WORDS, "bed", "cat", "dog"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Recordings as in free-spoken-digits: five speakers, three digits, four takes."""
    root = tmp_path_factory.mktemp("fsd")
    for digit in range(3):
        for speaker in ("anna", "bela", "carl", "dora", "emil"):
            for take in range(4):
                write(root / "recordings" / f"{digit}_{speaker}_{take}.wav", 400 * (digit + 1) + 10 * take)
    return root


def sizes(data):
    return [len(data.part(part)) for part in PARTS]


def fails(path, message, **options):
    with pytest.raises(DatasetError, match=message):
        load("kws", path=str(path), **options)


def test_twelve_classes_are_those_of_the_space_called_kws(commands):
    data = load("KWS", path=str(commands))
    space = ConfigSpace("KWS")
    assert (data.input_shape, data.classes) == (space.input_shape, space.classes) == ((1, 49, 10), 12)
    assert data.class_names == ("silence", "unknown", *kws.WORDS)
    assert data.augment == ("shift", "noise")
    assert data.licence == "CC BY 4.0"
    # ten words by 8, 2 and 2 speakers; a tenth of that for silence and unknown each
    assert sizes(data) == [80 + 8 + 8, 20 + 2 + 2, 20 + 2 + 2]
    for part, each in (("train", 8), ("validation", 2), ("test", 2)):
        assert np.bincount(data.part(part).y).tolist() == [each] * 12


def test_all_words(tmp_path):
    root = write_speech_commands(tmp_path / "set", [*kws.WORDS, *kws.OTHERS])
    data = load("kws", path=str(root), classes=35)
    assert data.classes == 35
    assert data.class_names == tuple(sorted((*kws.WORDS, *kws.OTHERS)))
    assert sizes(data) == [35 * 8, 35 * 2, 35 * 2]
    fails(root, "dataset.classes is 10; Speech Commands has 12 or 35", classes=10)


def test_a_word_is_missing(commands):
    fails(commands, "differs from Speech Commands v2 in the word 'backward'", classes=35)


def test_without_lists_the_published_hash_tells_the_part(commands, tmp_path):
    root = write_speech_commands(tmp_path / "set", [*kws.WORDS, "bed"], lists=False)
    data = load("kws", path=str(root))
    expected = dict.fromkeys(PARTS, 0)
    for speaker in SPEAKERS:
        share = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27 * 100 / (2**27 - 1)
        expected["validation" if share < 10 else "test" if share < 20 else "train"] += 1
    words = [np.count_nonzero(data.part(part).y >= 2) for part in PARTS]
    assert words == [10 * expected[part] for part in PARTS]


@pytest.mark.parametrize(
    ("part", "speakers"),
    [
        ("test", "2aa787cf ffa76c4a 24ad3ebe d7467392 5828dfa2 91223b83 f0ae7203 95ba4996"),
        ("validation", "8b775397 2643992f 060cd039 f5e5e8b0 dbb40d24 d57febf0 16db1582 171b56dc"),
    ],
)
def test_the_hash_is_that_of_the_published_lists(part, speakers):
    # the first speakers of testing_list.txt and validation_list.txt
    names = [f"cat/{speaker}_nohash_1.wav" for speaker in speakers.split()]
    assert {kws._hashed_part(kws.Recording(name, "cat")) for name in names} == {part}


def test_silence_is_drawn_from_stretches_of_the_noise_that_no_parts_share(commands, tmp_path):
    root = shutil.copytree(commands, tmp_path / "copy")
    time = np.arange(15 * RATE) / RATE
    pitch = np.select([time < 12, time < 13.5], [300, 1_000], 3_000)  # the first 80 %, then 10 % each
    for file in (root / "_background_noise_").iterdir():
        wavfile.write(file, RATE, (9_000 * np.sin(2 * np.pi * pitch * time)).astype(np.int16))
    data = load("kws", path=str(root), features="log-mel")
    loudest = {part: data.part(part).x[data.part(part).y == 0].mean(axis=(1, 2)).argmax(axis=1) for part in PARTS}
    bands = [set(loudest[part].tolist()) for part in PARTS]
    assert max(bands[0]) < min(bands[1]) <= max(bands[1]) < min(bands[2])
    assert describe(load("kws", path=str(root), features="log-mel")) == describe(data)
    assert load("kws", path=str(root), features="log-mel", split_seed=1).digest != data.digest


def test_an_archive_gives_the_same_dataset(commands, tmp_path):
    archive = tmp_path / "speech_commands_v0.02.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(commands, arcname=".")
    assert describe(load("kws", path=str(archive))) == describe(load("kws", path=str(commands)))


def test_download(commands, tmp_path, monkeypatch, serve):
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served" / "sc.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(commands, arcname=".")
    checksum = f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    with serve(archive.parent) as address:
        monkeypatch.setattr(kws, "FILES", (Published(f"{address}/sc.tar.gz", checksum, 1),))
        downloaded = load("kws", progress=lambda *_: None)
    assert describe(downloaded) == describe(load("kws", path=str(commands)))


def test_own_recordings_are_split_by_speaker(digits, monkeypatch):
    data = load("kws", path=str(digits))
    assert (data.name, data.input_shape, data.class_names) == ("kws", (1, 49, 10), ("0", "1", "2"))
    assert data.licence == "that of the recordings"
    assert sizes(data) == [36, 12, 12]  # three speakers, one, one
    names = sorted(path.name for path in (digits / "recordings").iterdir())
    seen = {}
    monkeypatch.setattr(kws, "assemble", lambda *args, **_: seen.update(args[3]))
    load_split(digits)
    speakers = {part: {names[index].split("_")[1] for index in seen[part]} for part in PARTS}
    assert len(set.union(*speakers.values())) == 5 == sum(map(len, speakers.values()))


def test_of_two_speakers_one_is_kept_for_the_test_part(tmp_path):
    for digit in range(3):
        for speaker in ("anna", "bela"):
            for take in range(10):
                write(tmp_path / f"{digit}_{speaker}_{take}.wav", 400 * (digit + 1) + 10 * take, 0.1)
    data = load("kws", path=str(tmp_path))
    assert {part: np.bincount(data.part(part).y).tolist() for part in PARTS} == {
        "train": [9] * 3, "validation": [1] * 3, "test": [10] * 3,
    }  # fmt: skip


def test_names_that_look_as_if_they_told_speakers_are_a_warning(tmp_path):
    for part, count in (("train", 10), ("validation", 2), ("test", 2)):
        for number, name in enumerate(("one", "zero")):
            for speaker in ("anna", "bela", "carl", "dora"):
                for take in range(count):
                    write(tmp_path / part / name / f"{speaker}{take}.wav", 400 * (number + 1), 0.1)
    load("kws", path=str(tmp_path))  # the parts are the user's
    message = "divided without regard to who speaks; if anna, bela, carl, ... in their names are speakers, call the"
    with pytest.warns(AnalogNASWarning, match=message):
        load("kws", path=str(tmp_path / "train"))
    shutil.rmtree(tmp_path / "validation")
    with pytest.warns(AnalogNASWarning, match=message):
        load("kws", path=str(tmp_path))


def test_own_recordings_of_the_same_words_are_not_speech_commands(tmp_path):
    for number, word in enumerate(kws.WORDS):
        for speaker in SPEAKERS[:5]:
            write(tmp_path / word / f"{word}_{speaker}_0.wav", 300 + 60 * number, 0.1)
    data = load("kws", path=str(tmp_path))
    assert data.class_names == tuple(sorted(kws.WORDS))
    assert sizes(data) == [30, 10, 10]


def load_split(path):
    with pytest.raises(DatasetError, match="returned NoneType"):
        load("kws", path=str(path))


def test_a_class_that_would_be_missing_in_a_part_is_named(tmp_path):
    for word, speakers in (("yes", SPEAKERS[:6]), ("no", SPEAKERS[6:8])):
        for speaker in speakers:
            write(tmp_path / word / f"{word}_{speaker}_0.wav", 500, 0.1)
    fails(
        tmp_path,
        "Class 'no' has 2 recordings to divide, none of .* in the (train|validation|test) part: add some by more",
    )


def test_own_recordings_without_speakers_are_stratified(tmp_path):
    for name, hertz in (("high", 2_000), ("low", 500)):
        for index in range(20):
            write(tmp_path / name / f"take {index}.wav", hertz + index, rate=(8_000, 11_025, 44_100)[index % 3])
    data = load("kws", path=str(tmp_path))
    assert sizes(data) == [24, 8, 8]
    assert all(data.part(part).y.mean() == 0.5 for part in PARTS)
    # pitch tells the class whatever the rate: the second coefficient is the balance of low and high
    tilt = data.train.x[:, 0, 24, 1].astype(int)
    assert tilt[data.train.y == 0].max() < tilt[data.train.y == 1].min()


def test_too_few_recordings_without_speakers(tmp_path):
    for name, count in (("high", 20), ("low", 2)):
        for index in range(count):
            write(tmp_path / name / f"take {index}.wav", 500 + index, 0.1)
    fails(tmp_path, "Class 'low' has 2 recordings to divide, none of .* in the train part: add some, or divide")


def test_folders_of_parts_are_taken_as_they_are(tmp_path):
    for part, count in (("train", 20), ("test", 5)):
        for name, hertz in (("high", 2_000), ("low", 500)):
            for index in range(count):
                write(tmp_path / part / name / f"{index}.wav", hertz + index, 0.1)
    assert sizes(load("kws", path=str(tmp_path))) == [36, 4, 10]


def test_options(digits):
    assert load("kws", path=str(digits), features="log-mel").input_shape == (1, 49, 40)
    assert load("kws", path=str(digits), features="log-mel", seconds=0.5).input_shape == (1, 24, 40)
    assert load("kws", path=str(digits), image_size=32).input_shape == (1, 32, 32)
    fails(digits, "dataset.features is 'wave'; there are mfcc and log-mel", features="wave")
    fails(digits, "for recordings it is 4 to 64", image_size=96)
    fails(digits, "dataset.seconds is 0.01", seconds=0.01)
    fails(digits, "dataset.classes is 12, but .* is not Speech Commands; leave", classes=12)
    with pytest.raises(DatasetError, match="kws takes no channels"):
        load("kws", path=str(digits), channels=3)


def test_decoded_once_until_a_file_changes(digits, tmp_path, monkeypatch):
    root = shutil.copytree(digits, tmp_path / "copy")
    steps = []
    first = describe(load("kws", path=str(root), progress=lambda *step: steps.append(step)))
    assert steps == [(60, 60, "reading recordings")]
    with monkeypatch.context() as patch:
        patch.setattr(kws.wav, "read", None)
        assert describe(load("kws", path=str(root))) == first
    write(root / "recordings" / "0_anna_0.wav", 900)
    assert describe(load("kws", path=str(root)))["digest"] != first["digest"]


def test_a_damaged_recording_is_named(digits, tmp_path):
    root = shutil.copytree(digits, tmp_path / "copy")
    file = root / "recordings" / "1_bela_2.wav"
    whole = file.read_bytes()
    for damaged in (whole[:-400], whole[:20], b"", b"text"):
        file.write_bytes(damaged)
        fails(root, "1_bela_2.wav cannot be read as a WAV file .*; remove or replace it")


def test_noise_is_missing(commands, tmp_path):
    root = shutil.copytree(commands, tmp_path / "copy")
    shutil.rmtree(root / "_background_noise_")
    fails(root, "lacks _background_noise_")


def test_the_real_spoken_digits(real_data, tmp_path):
    archive = real_data("free-spoken-digits.tar.gz")
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if member.name.endswith((".wav",)) and int(member.name[-5]) < 2]
        tar.extractall(tmp_path, [one for one in wanted if len(one.name.rpartition("_")[2]) == 5], filter="data")
    data = load("kws", path=str(tmp_path))
    assert data.class_names == tuple("0123456789")
    assert sizes(data) == [80, 20, 20]  # ten digits twice by each of six speakers: four, one, one
    x = data.train.x[:, 0]
    assert 0 < x[:, 24].mean() < 255
    whole = load("kws", path=str(archive))
    assert sizes(whole) == [2_000, 500, 500]
