import os
import shutil
import tarfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from analognas.datasets import PARTS, describe, image_folder, load
from analognas.datasets.cifar10 import CLASS_NAMES
from analognas.errors import AnalogNASWarning, DatasetError

COLOURS = {"blue": (20, 30, 250), "red": (250, 20, 30)}


def fill(root, count=10, size=(8, 8), classes=("blue", "red"), mode="RGB", extension="png"):
    """Write ``count`` images per class, each different."""
    for name in classes:
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(count):
            image = Image.new("RGB", size, COLOURS.get(name, (9, 9, 9)))
            image.putpixel((0, 0), (index, index, index))
            image.convert(mode).save(folder / f"{index:03}.{extension}")
    return root


def sizes(data):
    return [len(data.part(part)) for part in PARTS]


def from_folder(root, **options):
    return load("image-folder", path=str(root), **options)


def fails(root, message, **options):
    with pytest.raises(DatasetError, match=message):
        from_folder(root, **options)


def test_class_folders_are_split_60_20_20(tmp_path):
    data = from_folder(fill(tmp_path / "set"))
    assert (data.name, data.input_shape, data.classes) == ("image-folder", (3, 8, 8), 2)
    assert data.class_names == ("blue", "red")
    assert sizes(data) == [12, 4, 4]
    for part in PARTS:
        split = data.part(part)
        assert split.y.mean() == 0.5
        reds = split.x[split.y == 1]
        assert (reds[:, :, 1, 1] == COLOURS["red"]).all()
    first = np.concatenate([data.part(part).x[:, 0, 0, 0] for part in PARTS])
    assert sorted(first.tolist()) == sorted(list(range(10)) * 2)


def test_validation_is_split_off_the_training_images(tmp_path):
    fill(tmp_path / "set" / "train", count=20)
    fill(tmp_path / "set" / "test", count=3)
    data = from_folder(tmp_path / "set")
    assert sizes(data) == [36, 4, 6]
    assert data.validation.y.tolist().count(0) == 2
    assert sorted(data.test.x[:, 0, 0, 0].tolist()) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_three_folders_are_taken_as_they_are(tmp_path, name):
    for part, count in (("train", 4), (name, 3), ("test", 2)):
        fill(tmp_path / "set" / part, count=count)
    assert sizes(from_folder(tmp_path / "set")) == [8, 6, 4]


def test_without_a_test_folder(tmp_path):
    fill(tmp_path / "set" / "train", count=10)
    fill(tmp_path / "set" / "val", count=3)
    assert sizes(from_folder(tmp_path / "set")) == [16, 6, 4]


def test_only_a_train_folder(tmp_path):
    fill(tmp_path / "set" / "train", count=10)
    assert sizes(from_folder(tmp_path / "set")) == [12, 4, 4]


@pytest.mark.parametrize("classes", [("bicycle", "train"), ("production", "test"), ("test_tube", "train_station")])
def test_classes_may_be_called_like_parts(tmp_path, classes):
    assert from_folder(fill(tmp_path / "set", classes=classes)).class_names == classes


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Training", None, "Testing"),
        ("TRAIN", "VAL", "TEST"),
        ("training_set", None, "test_set"),
        ("seg_train/seg_train", None, "seg_test/seg_test"),
        ("train2017", "val2017", None),
        ("TrainImages", "dev-images", "TestImages"),
    ],
)
def test_parts_under_other_names(tmp_path, train, validation, test):
    for name in filter(None, (train, validation, test)):
        fill(tmp_path / "set" / name)
    data = from_folder(tmp_path / "set")
    assert data.class_names == ("blue", "red")
    given = {"train": train, "validation": validation, "test": test}
    assert data.reading.given == {part: name for part, name in given.items() if name}
    assert len(data.train) == (18 if test and not validation else 16 if validation and not test else 20)


def test_parts_inside_of_the_classes(tmp_path):
    for name in ("blue", "red"):
        fill(tmp_path / "set" / name, classes=("train", "test"))
    data = from_folder(tmp_path / "set")
    assert (data.class_names, sizes(data)) == (("blue", "red"), [18, 2, 20])
    assert all(name.split("/")[1] == "test" for name in data.test.names)
    fill(tmp_path / "set", classes=("green",))
    fails(tmp_path / "set", r"blue holds (test|train), .*, .*green does not: give every class the same parts, or")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "test"), "holds test, train, which are parts of the data and no classes: put the images in each"),
        (("training_set", "test_set"), "holds test_set, training_set, which are parts of the data and no classes"),
        (("fold1", "fold2", "fold10"), "holds fold1, fold10, fold2, which are numbered pieces of the data"),
        (("split_1", "split_2"), "numbered pieces of the data and no classes: put the images into a folder per class"),
        (("train", "val", "extra"), None),  # a class may be called train
    ],
)
def test_parts_are_no_classes(tmp_path, names, message):
    fill(tmp_path / "set", classes=names)
    if message is None:
        assert from_folder(tmp_path / "set").class_names == tuple(sorted(names))
    else:
        fails(tmp_path / "set", message)


def test_folds_with_class_folders_are_no_classes(tmp_path):
    for index in range(3):
        fill(tmp_path / "set" / f"Fold {index}")
    fails(tmp_path / "set", r"holds Fold 0, Fold 1, Fold 2, which are numbered pieces")


def test_which_of_two_levels_are_the_classes_is_asked(tmp_path):
    for person in ("anna", "bela"):
        fill(tmp_path / "set" / person, classes=("fist", "palm"))
    message = (
        "holds anna, bela, and in each of them stand fist, palm: which of the two are the classes cannot be told; "
    )
    fails(tmp_path / "set", message)
    fill(tmp_path / "other" / "anna", classes=("fist", "palm"))
    fill(tmp_path / "other" / "bela", classes=("fist", "ok"))
    assert from_folder(tmp_path / "other").class_names == ("anna", "bela")


def test_leftovers_of_systems_are_neither_images_nor_classes(tmp_path):
    root = fill(tmp_path / "set")
    expected = describe(from_folder(root))
    for name in ("@eaDir", "$RECYCLE.BIN", "lost+found", "__MACOSX", ".thumbnails", "#recycle"):
        fill(root / name, count=1)
        fill(root / "red" / name, count=1)
    fill(root / "red" / "thumbs", count=1)
    fill(root / "red" / "@eaDir" / "000.png", classes=("SYNOPHOTO_THUMB_M",), count=1)
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._000.png"):
        (root / "red" / name).write_text("no image")
    data = from_folder(root)
    assert describe(data) == expected
    assert data.reading.leftovers["@eaDir"] == 2
    assert data.reading.leftovers["Thumbs.db"] == data.reading.leftovers["thumbs"] == 1
    assert data.reading.leftovers["._*"] == 1
    assert not data.reading.passed_over


def test_files_that_are_not_read_are_counted_and_named(tmp_path):
    root = fill(tmp_path / "set")
    for index in range(3):
        (root / "red" / f"{index}.HEIC").write_bytes(b"....ftypheic")
    (root / "red" / "notes.txt").write_text("no image")
    (root / "blue" / "without").write_text("who knows")
    Image.new("RGB", (8, 8)).save(root / "outside.png")
    with pytest.warns(
        AnalogNASWarning, match=r"image-folder: 3 \.heic, 1 images outside of class folders, 1 no ending"
    ):
        data = from_folder(root)
    assert data.reading.read == {".png": 20}
    assert data.reading.passed_over == {".heic": 3, ".txt": 1, "no ending": 1, "images outside of class folders": 1}
    assert data.notes[0].startswith("3 .heic")
    (root / "green").mkdir()
    (root / "green" / "1.heic").write_bytes(b"")
    fails(root, r"green holds no images that are read, but 1 \.heic; add some or remove it")


@pytest.mark.parametrize("extension", ["jfif", "jpe", "jif", "avif", "apng", "dib"])
def test_other_endings_of_what_can_be_read(tmp_path, extension):
    root = fill(tmp_path / "set")
    kind = {"jfif": "JPEG", "jpe": "JPEG", "jif": "JPEG", "apng": "PNG"}.get(extension, extension.upper())
    Image.new("RGB", (8, 8)).save(root / "red" / f"x.{extension}", kind)
    assert from_folder(root).reading.read == {".png": 20, f".{extension}": 1}


def fill_deep(root, greatest, kind="png", dtype=np.uint16, count=6):
    for name in ("blue", "red"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            values = np.array([[0, greatest - index], [9, 9]], dtype)
            Image.fromarray(values).save(root / name / f"{index}.{greatest}.{kind}")
    return root


def test_a_scale_that_collapses(tmp_path):
    message = "12 images of 16 bits hold no value above 255, .* all of them would be black: save them with 8 bits, or"
    fails(fill_deep(tmp_path / "black", 255), message)
    fails(fill_deep(fill(tmp_path / "some", mode="L", size=(2, 2)), 255), message)
    with pytest.warns(AnalogNASWarning, match=r"values up to 4,095, of which 16 levels of 256 are left; scale them"):
        assert from_folder(fill_deep(tmp_path / "twelve", 4095)).train.x.max() == 15
    assert not from_folder(fill_deep(tmp_path / "sixteen", 65535)).notes
    fails(
        fill_deep(fill_deep(tmp_path / "mixed", 250, "tiff", np.int32), 9000, "tiff", np.int32),
        "12 images of 32 bits hold values up to 255, 12 others up to 9,000, so they are not on one scale",
    )
    for name in ("blue", "red"):
        (tmp_path / "flat" / name).mkdir(parents=True)
        for index in range(5):
            Image.new("L", (4, 4), 7).save(tmp_path / "flat" / name / f"{index}.png")
    fails(tmp_path / "flat", "every value of all 10 images is 7 of 255, so nothing can be learned")


def test_sizes_before_and_after_are_told(tmp_path):
    root = fill(tmp_path / "set", size=(12, 6))
    assert from_folder(root).reading.sizes == "all are 12x6"
    assert from_folder(root, image_size=4).reading.sizes == "all are 12x6, resized to 4x4, 20 of them squeezed"
    Image.new("RGB", (50, 50)).save(root / "red" / "odd.png")
    told = "2 sizes from 12x6 to 50x50, resized to 32x32, 20 of them squeezed"
    with pytest.warns(AnalogNASWarning, match=f"{told}; dataset.image_size chooses another size"):
        data = from_folder(root)
    assert data.reading.sizes == told
    assert from_folder(root, image_size=16).reading.sizes.startswith("2 sizes from 12x6 to 50x50, resized to 16x16")


def test_pictures_that_were_turned_are_told(tmp_path):
    root = fill(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (8, 8)).save(root / "red" / "x.jpg", exif=exif)
    Image.new("L", (8, 8)).save(root / "red" / "y.tif", tiffinfo={0x0112: 6})  # Pillow turns it by itself
    Image.new("L", (8, 8)).save(root / "red" / "z.tif", tiffinfo={0x0112: 1})
    assert from_folder(root).notes == ("turned upright: 2 of the images, as their EXIF, XMP or TIFF tags say",)


def test_common_size_is_kept_else_32(tmp_path):
    root = fill(tmp_path / "set", size=(12, 6))
    assert from_folder(root).input_shape == (3, 6, 12)
    Image.new("RGB", (5, 5)).save(root / "red" / "odd.png")
    with pytest.warns(AnalogNASWarning, match="2 sizes from 5x5 to 12x6, resized to 32x32"):
        assert from_folder(root).input_shape == (3, 32, 32)
    assert from_folder(root, image_size=16).input_shape == (3, 16, 16)


def test_grey_only_if_all_are(tmp_path):
    root = fill(tmp_path / "set", mode="L")
    assert from_folder(root).input_shape == (1, 8, 8)
    assert from_folder(root, channels=3).input_shape == (3, 8, 8)
    Image.new("RGB", (8, 8)).save(root / "red" / "odd.png")
    assert from_folder(root).input_shape == (3, 8, 8)
    assert from_folder(root, channels=1).input_shape == (1, 8, 8)


def test_digest_depends_on_pixels_not_on_place_times_or_format(tmp_path):
    root = fill(tmp_path / "one")
    first = describe(from_folder(root))
    moved = tmp_path / "elsewhere" / "two"
    shutil.copytree(root, moved)
    for file in moved.rglob("*.png"):
        os.utime(file, (1, 1))
    assert describe(from_folder(moved)) == first
    assert describe(from_folder(fill(tmp_path / "three", extension="bmp"))) == first
    Image.new("RGB", (8, 8)).save(moved / "red" / "000.png")
    changed = describe(from_folder(moved))
    assert changed["digest"] != first["digest"]
    assert changed["split_digest"] == first["split_digest"]
    assert describe(from_folder(root, image_size=4))["digest"] != first["digest"]


def test_second_load_decodes_nothing(tmp_path, monkeypatch):
    root = fill(tmp_path / "set")
    first = describe(from_folder(root))
    monkeypatch.setattr(image_folder, "decode", None)
    monkeypatch.setattr(image_folder, "inspect", None)
    assert describe(from_folder(root)) == first


def test_a_changed_file_is_seen_behind_an_unchanged_time_and_size(tmp_path):
    root = fill(tmp_path / "set", extension="bmp")
    file = root / "red" / "000.bmp"
    os.utime(file, (1, 1))
    first = from_folder(root)
    Image.new("RGB", (8, 8), "green").save(file)
    os.utime(file, (1, 1))
    assert from_folder(root).digest != first.digest


def test_a_damaged_cache_is_made_again(tmp_path, cache_folder):
    root = fill(tmp_path / "set")
    first = describe(from_folder(root))
    (stored,) = (cache_folder / "decoded").iterdir()
    stored.write_bytes(stored.read_bytes()[:100])
    assert describe(from_folder(root)) == first
    assert stored.stat().st_size > 100


def test_links_are_followed(tmp_path):
    real = fill(tmp_path / "real")
    expected = describe(from_folder(real))
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "blue").symlink_to(real / "blue")
    (linked / "red").mkdir()
    for file in (real / "red").iterdir():
        (linked / "red" / file.name).symlink_to(file)
    (linked / "red" / "circle").symlink_to(linked / "red")
    assert describe(from_folder(linked)) == expected


def test_images_in_deeper_folders_count_and_other_files_do_not(tmp_path):
    root = fill(tmp_path / "set")
    (root / "red" / "more").mkdir()
    Image.new("RGB", (8, 8)).save(root / "red" / "more" / "x.JPG", format="JPEG")
    (root / "red" / "notes.txt").write_text("no image")
    (root / "red" / "._000.png").write_text("what macOS leaves behind")
    (root / "readme.md").write_text("no image")
    (root / ".git").mkdir()
    assert sum(sizes(from_folder(root))) == 21


def test_image_files_are_those_that_are_loaded(tmp_path, monkeypatch):
    root = fill(tmp_path / "set", count=1)
    (root / "green").symlink_to(fill(tmp_path / "real", count=1, classes=("green",)) / "green")
    (root / "red" / "._000.png").write_text("what macOS leaves behind")
    fill(root / "__MACOSX", count=1)
    fill(root / ".hidden", count=1)
    monkeypatch.setattr(Image, "open", None)
    assert image_folder.image_files(root) == [root / name / "000.png" for name in ("blue", "green", "red")]
    with pytest.raises(DatasetError, match=r"There is no folder .*none"):
        image_folder.image_files(tmp_path / "none")
    with pytest.raises(DatasetError, match="holds 0 class folders"):
        image_folder.image_files(root / "red")


def test_image_files_of_all_parts(tmp_path):
    for part in ("train", "test"):
        fill(tmp_path / part, count=1)
    expected = [tmp_path / part / name / "000.png" for part in ("train", "test") for name in ("blue", "red")]
    assert image_folder.image_files(tmp_path) == expected


def test_progress_is_reported(tmp_path):
    steps = []
    from_folder(fill(tmp_path / "set"), progress=lambda *step: steps.append(step))
    assert steps == [(20, 20, "looking at images"), (20, 20, "decoding images")]


def test_no_path():
    with pytest.raises(DatasetError, match="needs the folder of your images; give it with --path DIR"):
        load("image-folder")


def test_missing_folder(tmp_path):
    fails(tmp_path / "none", "There is no folder .*none")


def test_fewer_than_two_classes(tmp_path):
    fails(fill(tmp_path / "set", classes=("red",)), "holds 1 class folders; at least 2")


def test_empty_class(tmp_path):
    root = fill(tmp_path / "set")
    (root / "green").mkdir()
    fails(root, "Class folder .*green holds no images")


def test_too_few_images_to_split(tmp_path):
    root = fill(tmp_path / "set", count=4)
    assert sizes(from_folder(root)) == [4, 2, 2]
    (root / "red" / "000.png").unlink()
    assert sizes(from_folder(root)) == [3, 2, 2]
    (root / "red" / "001.png").unlink()
    fails(root, "Class 'red' has 2 images to divide, none of which would be in the train part: add some, or")


@pytest.mark.parametrize("count", [6, 7])
def test_few_images_of_many_classes_are_divided(tmp_path, count):
    root = fill(tmp_path / "set", count=count, size=(2, 2), classes=tuple("abcdefghij"))
    data = from_folder(root)
    assert all(set(data.part(part).y.tolist()) == set(range(10)) for part in PARTS)


def test_unreadable_image_is_named(tmp_path):
    root = fill(tmp_path / "set")
    (root / "red" / "003.png").write_bytes(b"no image")
    fails(root, r"red/003.png cannot be read as an image")
    fails(root, r"red/003.png cannot be read as an image", image_size=8, channels=3)


@pytest.mark.parametrize("given", [{}, {"image_size": 8, "channels": 3}])
def test_all_unreadable_images_are_counted_and_the_first_named(tmp_path, given):
    root = fill(tmp_path / "set")
    for number in range(2, 7):
        (root / "red" / f"{number:03}.png").write_bytes(b"no image")
    told = r"set: 5 of 20 images cannot be read: red/002.png \(.*\); red/003.png \(.*\); red/004.png \(.*\); and 2 more"
    fails(root, told + "; remove or replace them", **given)


def test_classes_beside_a_folder_for_tests_are_to_be_moved(tmp_path):
    fill(tmp_path / "set")
    fill(tmp_path / "set" / "test", count=2)
    fails(
        tmp_path / "set", r"holds blue, red beside test, which has such folders, too: move blue, red into .*set/train"
    )


def test_what_was_transparent_is_told(tmp_path):
    root = fill(tmp_path / "set")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(root / "red" / "clear.png")
    Image.new("RGBA", (8, 8), (9, 0, 0, 255)).save(root / "red" / "opaque.png")
    assert from_folder(root).notes == ("put on white: 1 of the images, which are transparent in places",)


def test_broken_link(tmp_path):
    root = fill(tmp_path / "set")
    (root / "red" / "x.png").symlink_to(root / "gone.png")
    fails(root, r"x.png cannot be read .*mend or remove")


def test_class_that_is_not_in_all_parts(tmp_path):
    fill(tmp_path / "set" / "train")
    fill(tmp_path / "set" / "test", classes=("blue", "green", "red"))
    fails(tmp_path / "set", "Class 'green' is not in all of train, test")


def test_parts_that_do_not_fit_together(tmp_path):
    fill(tmp_path / "set" / "test")
    fails(tmp_path / "set", "holds test but no train folder")
    fill(tmp_path / "set" / "train")
    fill(tmp_path / "set" / "extra")
    fails(tmp_path / "set", "extra stands beside test")
    shutil.rmtree(tmp_path / "set" / "extra")
    fill(tmp_path / "set" / "val")
    fill(tmp_path / "set" / "valid")
    fails(tmp_path / "set", "holds both val and valid")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"image_size": 3}, "image_size is 3"),
        ({"image_size": 513}, "image_size is 513"),
    ],
)
def test_options_out_of_range(tmp_path, options, message):
    fails(tmp_path, message, **options)


def test_more_than_fits_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "MAX_BYTES", 1000)
    fails(
        fill(tmp_path / "set"),
        "20 images of 8x8 pixels would take .* smaller dataset.image_size, in params.yaml or by --set",
    )


def test_an_archive_is_to_be_unpacked_first(tmp_path):
    (tmp_path / "images.tar.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"images\.tar\.gz is a file; unpack it"):
        load("image-folder", path=str(tmp_path / "images.tar.gz"))


def test_the_real_cifar10_as_jpeg(real_data, tmp_path):
    taken = Counter()
    with tarfile.open(real_data("cifar10-jpeg.tar.gz")) as tar:
        for member in tar:
            place = tuple(member.name.split("/")[-3:-1])  # part and class
            if member.isfile() and taken[place] < 10:
                taken[place] += 1
                tar.extract(member, tmp_path / "set", filter="data")
    root = tmp_path / "set"
    data = from_folder(root)
    assert (data.input_shape, data.classes) == ((3, 32, 32), 10)
    assert sizes(data) == [90, 10, 100]
    assert data.class_names == CLASS_NAMES
    assert 0.3 < data.mean[0] < 0.7
    assert data.augment == ()
    assert from_folder(root, augment=["crop", "flip"]).augment == ("crop", "flip")
