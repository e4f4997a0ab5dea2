import io
import os
import tarfile
import zipfile

import pytest

from analognas.datasets.recordings import class_names, open_source, recordings
from analognas.datasets.speakers import Recording
from analognas.errors import DatasetError


def fill(root, *names, content=b"sound"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def found(root):
    return recordings(open_source(root))


def fails(root, message):
    with pytest.raises(DatasetError, match=message):
        named(open_source(root))


def named(source):
    return class_names(source, recordings(source))


def test_class_folders(tmp_path):
    fill(tmp_path, "no/b.wav", "yes/a.WAV", "yes/deep/c.wav", "yes/notes.txt", ".git/x.wav", "__MACOSX/yes/a.wav")
    assert found(tmp_path) == [
        Recording("no/b.wav", "no"), Recording("yes/a.WAV", "yes"), Recording("yes/deep/c.wav", "yes", inner="deep"),
    ]  # fmt: skip
    assert named(open_source(tmp_path)) == ["no", "yes"]


def test_folders_around_the_whole_do_not_matter(tmp_path):
    fill(tmp_path / "one" / "two", "no/b.wav", "yes/a.wav")
    assert [one.label for one in found(tmp_path)] == ["no", "yes"]


def test_parts_have_folders(tmp_path):
    fill(
        tmp_path,
        "Train/no/1.wav",
        "Train/yes/1.wav",
        "val/no/1.wav",
        "val/yes/1.wav",
        "testing/no/1.wav",
        "testing/yes/1.wav",
    )
    assert [(one.label, one.part) for one in found(tmp_path)] == [
        ("no", "train"), ("yes", "train"), ("no", "test"), ("yes", "test"), ("no", "validation"), ("yes", "validation"),
    ]  # fmt: skip


def test_noise_may_stand_beside_the_parts(tmp_path):
    fill(tmp_path, "train/no/1.wav", "train/yes/1.wav", "_background_noise_/hum.wav")
    assert [(one.label, one.part) for one in found(tmp_path)] == [
        ("_background_noise_", None), ("no", "train"), ("yes", "train"),
    ]  # fmt: skip


def test_names_tell_class_and_speaker(tmp_path):
    fill(tmp_path / "recordings", "7_jackson_0.wav", "turn_left_theo_12.wav")
    assert found(tmp_path) == [
        Recording("recordings/7_jackson_0.wav", "7", "jackson"),
        Recording("recordings/turn_left_theo_12.wav", "turn_left", "theo"),
    ]


def test_names_in_class_folders_tell_the_speaker(tmp_path):
    fill(tmp_path, "no/0a1b_nohash_3.wav", "no/no_anna_1.wav", "yes/no_anna_1.wav", "yes/take 1.wav")
    assert [one.speaker for one in found(tmp_path)] == ["0a1b", "anna", None, None]


def test_names_tell_the_speaker_where_they_call_the_class_otherwise_than_its_folder(tmp_path):
    fill(
        tmp_path, "one/1_anna_0.wav", "one/1_bela_0.wav", "zero/0_anna_0.wav", "zero/more/0_bela_12.wav",
        "_background_noise_/hum.wav",
    )  # fmt: skip
    assert [one.speaker for one in found(tmp_path)] == [None, "anna", "bela", "anna", "bela"]


@pytest.mark.parametrize(
    "names",
    [
        ("one/a_anna_0.wav", "one/a_bela_0.wav", "zero/a_anna_0.wav", "zero/a_bela_0.wav"),  # alike in all folders
        ("one/1_anna_0.wav", "one/2_bela_0.wav", "zero/3_anna_0.wav", "zero/4_bela_0.wav"),  # not alike in a folder
        ("one/1_anna_0.wav", "one/1_bela.wav", "zero/0_anna_0.wav", "zero/0_bela.wav"),  # without a number
        ("one/1_x_anna_0.wav", "one/1_x_bela_0.wav", "zero/0_x_anna_0.wav", "zero/0_x_bela_0.wav"),  # four words
        ("one/anna_ein_0.wav", "one/anna_ein_1.wav", "zero/bela_null_0.wav", "zero/bela_null_1.wav"),  # by class
        ("one/1_take_0.wav", "one/1_take_1.wav", "zero/0_take_0.wav", "zero/0_take_1.wav"),  # nobody else
    ],
)
def test_ambiguous_names_tell_no_speaker(tmp_path, names):
    fill(tmp_path, *names)
    assert {one.speaker for one in found(tmp_path)} == {None}


def test_an_empty_class_folder_is_refused(tmp_path):
    message = "Class folder .*maybe.* holds no .wav files; add some or remove it"
    fill(tmp_path / "a" / "set", "no/1.wav", "yes/1.wav", "maybe/1.mp3")
    fails(tmp_path / "a", message)
    fill(tmp_path / "b", "train/no/1.wav", "train/yes/1.wav", "test/no/1.wav", "test/yes/1.wav")
    (tmp_path / "b" / "test" / "maybe").mkdir()
    fails(tmp_path / "b", message)
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "a", arcname=".")
    fails(archive, message)


def test_empty_folders_that_are_no_classes_do_not_matter(tmp_path):
    fill(tmp_path / "a" / "set", "no/1.wav", "yes/1.wav", "yes/empty/1.txt", "_background_noise_/1.txt", "__MACOSX/a")
    fill(tmp_path / "a", "notes/1.txt", "set/.git/x", "set/_old/1.txt")
    assert named(open_source(tmp_path / "a")) == ["no", "yes"]
    fill(tmp_path / "b", "train/no/1.wav", "train/yes/1.wav", "test/no/1.wav", "test/yes/1.wav", "notes/more/1.txt")
    assert named(open_source(tmp_path / "b")) == ["no", "yes"]
    fill(tmp_path / "c", "recordings/0_anna_1.wav", "recordings/1_anna_1.wav", "utils/1.py")  # as the FSDD comes
    (tmp_path / "c" / "recordings" / "empty").mkdir()
    assert named(open_source(tmp_path / "c")) == ["0", "1"]


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "Testing"), ("train_audio", "test_audio"), ("training_set/training_set", "test_set/test_set")],
)
def test_parts_under_other_names(tmp_path, train, test):
    fill(tmp_path, *(f"{part}/{label}/1.wav" for part in (train, test) for label in ("no", "yes")))
    told = {(one.name.split("/")[0], one.label, one.part) for one in found(tmp_path)}
    names = ((train, "train"), (test, "test"))
    assert told == {(name.split("/")[0], label, part) for name, part in names for label in ("no", "yes")}


def test_parts_inside_of_the_classes(tmp_path):
    fill(tmp_path, *(f"{label}/{part}/1.wav" for part in ("train", "test") for label in ("no", "yes")))
    assert {(one.label, one.part) for one in found(tmp_path)} == {
        ("no", "train"), ("yes", "train"), ("no", "test"), ("yes", "test"),
    }  # fmt: skip
    fill(tmp_path, "maybe/1.wav")
    fails(tmp_path, "maybe/1.wav stands in no part, though other classes have test, train in their folders; move it")


def test_names_tell_class_and_speaker_in_folders_of_parts(tmp_path):
    fill(tmp_path / "a", "train/7_anna_0.wav", "test/7_bela_0.wav")
    assert found(tmp_path / "a") == [
        Recording("test/7_bela_0.wav", "7", "bela", "test"), Recording("train/7_anna_0.wav", "7", "anna", "train"),
    ]  # fmt: skip
    fill(tmp_path / "b", "train/1.wav", "test/1.wav")
    fails(tmp_path / "b", "test/1.wav tells no class; test, train are parts, no classes: put recordings into")


def test_folds_are_no_classes(tmp_path):
    fill(tmp_path, "audio/fold1/1-2-3.wav", "audio/fold2/1-2-3.wav", "audio/fold10/1.wav")
    fails(tmp_path, "holds fold1, fold10, fold2, which are numbered pieces of the data and no classes: put the")


def test_what_is_not_read_is_counted_and_named(tmp_path):
    root = fill(
        tmp_path / "set", "no/b.wav", "yes/a.wave", "yes/c.FLAC", "yes/d.mp3", "yes/.d.wav", "no/@eaDir/b.wav/x.wav",
        "LICENSE", "README.md", "yes/Thumbs.db", "$RECYCLE.BIN/x/y.wav",
    )  # fmt: skip
    archive = tmp_path / "set.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname=".")
    for source in (open_source(root), open_source(archive)):
        assert [one.name for one in recordings(source)] == ["no/b.wav", "yes/a.wave"]
        assert source.passed_over.files == {".flac": 1, ".mp3": 1, "LICENSE": 1, ".md": 1}
        assert source.passed_over.missed == {".flac": 1, ".mp3": 1}
        leftovers = {"@eaDir": 1, ".d.wav": 1, "Thumbs.db": 1, "$RECYCLE.BIN": 1}
        assert source.passed_over.leftovers == leftovers
    fails(fill(tmp_path / "other", "no/1.flac", "yes/1.flac"), r"holds no .wav files, but 2 \.flac; give the folder")


def test_lists_tell_the_part(tmp_path):
    fill(tmp_path / "set", "no/a_nohash_0.wav", "no/b_nohash_0.wav", "yes/a_nohash_0.wav", "yes/c_nohash_0.wav")
    (tmp_path / "set" / "testing_list.txt").write_text("no/b_nohash_0.wav\n")
    assert {one.part for one in found(tmp_path)} == {None}  # both lists or none
    (tmp_path / "set" / "validation_list.txt").write_text("yes/c_nohash_0.wav\n")
    assert [one.part for one in found(tmp_path)] == ["train", "test", "train", "validation"]


def test_an_archive_is_read_without_unpacking(tmp_path):
    root = fill(tmp_path / "set", "no/b.wav", "yes/a.wav", "yes/readme.md")
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, arcname=".")
        tar.addfile(tarfile.TarInfo("../outside.wav"), io.BytesIO())
    source = open_source(archive)
    assert source.names == ("no/b.wav", "yes/a.wav")
    assert list(source.read(["yes/a.wav"])) == [("yes/a.wav", b"sound")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set.tar.gz"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    fill(tmp_path / "elsewhere", "a.wav")
    fill(tmp_path / "set", "no/b.wav")
    (tmp_path / "set" / "yes").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "no" / "again").symlink_to(tmp_path / "set" / "no")
    assert [one.name for one in found(tmp_path / "set")] == ["no/b.wav", "yes/a.wav"]


def test_state_changes_with_a_file(tmp_path):
    fill(tmp_path, "no/b.wav", "yes/a.wav")
    before = open_source(tmp_path).state
    assert open_source(tmp_path).state == before
    (tmp_path / "no" / "b.wav").write_bytes(b"other sound")
    assert open_source(tmp_path).state != before


def test_what_does_not_fit(tmp_path):
    fails(tmp_path / "none", "There is no .*none; .*--path")
    fails(tmp_path, "holds no .wav files")
    fill(tmp_path / "a", "1_anna_1.wav", "hello.wav")
    fails(
        tmp_path / "a", "hello.wav tells no class: put recordings into a folder per class, or call them CLASS_SPEAKER"
    )
    fill(tmp_path / "b", "yes/1.wav", "no/1.wav", "stray.wav")
    fails(tmp_path / "b", "stray.wav stands beside the class folders; move it")
    fill(tmp_path / "c", "1_anna_1.wav", "1_anna_2.wav")
    fails(tmp_path / "c", "recordings of 1 class; at least 2 are needed")
    fill(tmp_path / "d", "test/yes/1.wav", "val/no/1.wav")
    fails(tmp_path / "d", "holds test, validation but no train folder")
    fill(tmp_path / "e", "train/yes/1.wav", "train/no/1.wav", "test/yes/1.wav")
    fails(tmp_path / "e", "Class 'no' has recordings .* but none for test")
    fill(tmp_path / "f", "train/yes/1.wav", "train/no/1.wav", "test/yes/1.wav", "more/yes/1.wav")
    fails(tmp_path / "f", "more/yes/1.wav stands beside a folder called train, validation or test .*; move it away")
    fill(tmp_path / "g", "train/yes/1.wav", "train/no/1.wav", "stray.wav")
    fails(tmp_path / "g", "stray.wav stands beside a folder called train")


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"no archive", lambda data: b""])
def test_damaged_archive(tmp_path, damage):
    root = fill(tmp_path / "set", "no/b.wav", "yes/a.wav", content=os.urandom(50_000))
    archive = tmp_path / "set.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, arcname="set")
    archive.write_bytes(damage(archive.read_bytes()))
    fails(archive, "set.tar.gz is not a whole tar archive.*get it again")


def test_damaged_xz(tmp_path):
    root = fill(tmp_path / "set", "no/b.wav", "yes/a.wav", content=os.urandom(50_000))
    archive = tmp_path / "set.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(root, arcname="set")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:50_000] + bytes(100) + whole[50_100:])
    fails(archive, "set.tar.xz is not a whole tar archive.*get it again")


@pytest.mark.parametrize("name", ["set.zip", "set"])
def test_a_zip_archive_is_to_be_unpacked(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as file:
        file.writestr("no/b.wav", "sound")
    fails(tmp_path / name, f"{name} is a zip archive, which is not read; unpack it and give the folder with --path")


def test_a_link_to_nowhere_is_named(tmp_path):
    fill(tmp_path, "no/b.wav", "yes/a.wav")
    (tmp_path / "yes" / "lost.wav").symlink_to(tmp_path / "nowhere.wav")
    fails(tmp_path, "lost.wav cannot be read")
