import pytest

from analognas.datasets.recordings import open_source, recordings
from analognas.datasets.speakers import looks_spoken
from analognas.errors import DatasetError


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"sound")
    return root


def found(root):
    return recordings(open_source(root))


def told(root, *names):
    """Return what is told of every recording: name, class, speaker."""
    return {one.name: (one.label, one.speaker) for one in found(fill(root, *names))}


PEOPLE = ("anna", "bela", "carl")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("anna0.wav", "anna1.wav", "bela0.wav", "bela1.wav"), ["anna", "bela"]),
        (("hello-anna 1.wav", "hello-anna 2.wav", "hello-bela (1).wav", "hello-bela (2).wav"), ["anna", "bela"]),
        (("anna_hello_1.wav", "anna_hello_2.wav", "bela_hello_1.wav", "bela_hello_2.wav"), ["anna", "bela"]),
        (("take 1.wav", "take 2.wav"), []),
        (("1.wav", "2.wav", "2024_1.wav", "2024_2.wav", "2025_1.wav", "2025_2.wav"), []),
        (("anna0.wav", "bela0.wav", "carl0.wav"), []),  # once each
        (("anna0.wav", "anna1.wav", "bela0.wav", "bela1.wav", *map("x{}y.wav".format, range(5))), []),  # a minority
        (("anna_nohash_0.wav", "anna_nohash_1.wav", "bela_nohash_0.wav", "bela_nohash_1.wav"), []),  # told
    ],
)
def test_words_that_recur_may_be_speakers(tmp_path, names, words):
    fill(tmp_path, *(f"{label}/{name}" for label in ("one", "zero") for name in names))
    assert looks_spoken(found(tmp_path)) == words


def test_words_of_one_class_are_no_speakers(tmp_path):
    fill(tmp_path, *(f"{label}/{label}{index}.wav" for label in ("one", "two", "zero") for index in range(5)))
    assert looks_spoken(found(tmp_path)) == []


@pytest.mark.parametrize("words", [("0", "1", "9"), ("ja", "nein")])
@pytest.mark.parametrize("inside", ["", "session/"])
def test_folders_of_speakers_with_words_and_speakers_in_their_names(tmp_path, words, inside):
    names = {f"{who}/{inside}{word}_{who}_{n}.wav": (word, who) for who in PEOPLE for word in words for n in (0, 1)}
    assert told(tmp_path, *names) == names


def test_folders_of_numbered_speakers(tmp_path):
    names = {
        f"{who:02}/{word}_{who:02}_{n}.wav": (str(word), f"{who:02}") for who in (1, 2) for word in (0, 1) for n in (0,)
    }
    assert told(tmp_path, *names) == names


def test_folders_of_classes_with_words_of_their_own_stay(tmp_path):
    names = {f"{word}/x{index}_{word}_0.wav": (word, None) for index, word in enumerate(("ja", "nein"))}
    assert told(tmp_path, *names) == names


def test_folders_of_words_inside_of_those_of_speakers(tmp_path):
    names = {f"{who}/{word}/{n}.wav": (word, who) for who in PEOPLE for word in ("yes", "no") for n in (0, 1)}
    assert told(tmp_path / "known", *names) == names
    names = {
        f"{who}/{word}/{word}_{who}_{n}.wav": (word, who) for who in PEOPLE for word in ("ja", "nein") for n in (0, 1)
    }
    assert told(tmp_path / "named", *names) == names
    names = {f"train/{who}/{word}/0.wav": (word, who) for who in PEOPLE for word in ("yes", "no")}
    names |= {f"test/{who}/{word}/0.wav": (word, who) for who in ("dora", "emil") for word in ("yes", "no")}
    assert told(tmp_path / "parts", *names) == names


def test_two_levels_of_which_neither_is_known_are_refused(tmp_path):
    fill(tmp_path, *(f"{who}/{word}/0.wav" for who in PEOPLE for word in ("ja", "nein")))
    message = (
        "holds anna, bela, carl, and in each of them stand ja, nein: which of the two are the classes and which the "
        "speakers cannot be told; put the recordings into one folder per class, or call them CLASS_SPEAKER_NUMBER.wav"
    )
    with pytest.raises(DatasetError, match=message):
        found(tmp_path)


def test_folders_inside_of_those_of_known_words_may_be_speakers(tmp_path):
    names = {f"{word}/{who}/{n}.wav": (word, None) for who in PEOPLE for word in ("yes", "no") for n in (0, 1)}
    assert told(tmp_path, *names) == names
    assert looks_spoken(found(tmp_path)) == list(PEOPLE)


@pytest.mark.parametrize("folder", ["", "{}/"])
def test_known_words_after_the_speaker(tmp_path, folder):
    names = {f"{folder.format(who)}{who}_{word}_0.wav": (word, who) for who in PEOPLE for word in ("yes", "no")}
    assert told(tmp_path, *names) == names


def test_numbers_may_be_speakers(tmp_path):
    names = {f"{what}_{who}_0.wav": (what, str(who)) for who in (1, 2) for what in ("cough", "sneeze")}
    assert told(tmp_path, *names) == names


def test_known_words_in_the_names_of_folders_of_speakers_are_refused(tmp_path):
    fill(tmp_path, *(f"{who}/{word}{n}.wav" for who in PEOPLE for word in ("yes", "no") for n in (0, 1)))
    message = (
        "holds the folders anna, bela, carl with recordings called no, yes in each: the folders seem to be speakers, "
        "not classes; put the recordings into one folder per class"
    )
    with pytest.raises(DatasetError, match=message):
        found(tmp_path)
