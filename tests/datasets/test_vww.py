import json
import shutil

import numpy as np
import pytest
from PIL import Image

from analognas.datasets import PARTS, describe, load, vww
from analognas.errors import DatasetError

WIDTH, HEIGHT = 40, 20  # 800 pixels: a person counts from more than 4 on
PERSON, DOG = 7, 8


def write_set(root, name, count, boxes=None):
    """Write one set of COCO: every second photograph shows a person of half its size, unless ``boxes`` says more."""
    folder = root / name
    folder.mkdir(parents=True)
    images, annotations = [], []
    for index in range(count):
        file = f"{index:012}.jpg"
        shade = 200 if index % 2 == 0 else 40
        Image.new("RGB", (WIDTH, HEIGHT), (shade, index, 10)).save(folder / file, quality=95)
        images.append({"id": 100 + index, "file_name": file, "width": WIDTH, "height": HEIGHT})
        for box in [[0, 0, 20, 20]] * (index % 2 == 0) if boxes is None else boxes.get(index, []):
            annotations.append({"image_id": 100 + index, "category_id": PERSON, "bbox": box, "iscrowd": 0})
        annotations.append({"image_id": 100 + index, "category_id": DOG, "bbox": [0, 0, 40, 20], "segmentation": [[1]]})
    (root / "annotations").mkdir(exist_ok=True)
    categories = [{"id": DOG, "name": "dog"}, {"id": PERSON, "name": "person"}]
    content = {"images": images[::-1], "annotations": annotations, "categories": categories}
    (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def coco(tmp_path):
    root = tmp_path / "coco"
    write_set(root, "train2017", 20)
    write_set(root, "val2017", 10)
    (root / "annotations" / "captions_train2017.json").write_text("{}")
    return root


def change(root, edit, name="train2017"):
    file = root / "annotations" / f"instances_{name}.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def fails(root, message, **options):
    with pytest.raises(DatasetError, match=message):
        load("vww", path=str(root), **options)


def test_shapes_parts_and_labels(coco):
    data = load("VWW", path=str(coco))
    assert (data.name, data.input_shape, data.class_names) == ("vww", (3, 96, 96), ("no person", "person"))
    assert [len(data.part(part)) for part in PARTS] == [18, 2, 10]
    assert data.augment == ("crop", "flip")
    for part in PARTS:
        split = data.part(part)
        assert split.y.mean() == 0.5
        assert ((split.x[:, 0].mean(axis=(1, 2)) > 120) == (split.y == 1)).all()  # the bright ones show a person
    assert sorted(data.test.x[:, 1].mean(axis=(1, 2)).round().astype(int).tolist()) == pytest.approx(range(10), abs=3)


def test_a_person_counts_whose_box_covers_more_than_half_a_percent(tmp_path):
    boxes = {0: [[0, 0, 2, 2]], 1: [[0, 0, 2, 2.01]], 2: [[0, 0, 1, 1], [5, 5, 2, 1]], 3: [[0, 0, 2, 2], [0, 0, 9, 9]]}
    root = write_set(tmp_path / "coco", "val2014", 5, boxes)
    labelled = dict(vww._labelled(vww._sets(root)[0]))
    assert [labelled[f"{index:012}.jpg"] for index in range(5)] == [0, 1, 0, 1, 0]


def test_one_set_alone_is_split(coco):
    shutil.rmtree(coco / "train2017")
    (coco / "annotations" / "instances_train2017.json").unlink()
    assert [len(load("vww", path=str(coco)).part(part)) for part in PARTS] == [6, 2, 2]


def test_other_layouts_give_the_same_dataset(coco, tmp_path):
    expected = describe(load("vww", path=str(coco)))
    other = tmp_path / "other"
    (other / "images").mkdir(parents=True)
    for name in ("train2017", "val2017"):
        shutil.copytree(coco / name, other / "images" / name)
        shutil.copy(coco / "annotations" / f"instances_{name}.json", other)
    assert describe(load("vww", path=str(other))) == expected


def test_size_and_channels(coco):
    assert load("vww", path=str(coco), image_size=32, channels=1).input_shape == (1, 32, 32)


def test_decoded_once_until_a_file_changes(coco, monkeypatch):
    first = describe(load("vww", path=str(coco)))
    with monkeypatch.context() as patch:
        patch.setattr(vww, "decode", None)
        patch.setattr(json, "load", None)
        assert describe(load("vww", path=str(coco))) == first
    Image.new("RGB", (WIDTH, HEIGHT), "red").save(coco / "train2017" / f"{3:012}.jpg")
    assert describe(load("vww", path=str(coco)))["digest"] != first["digest"]


def test_too_much_for_the_memory(coco, monkeypatch):
    monkeypatch.setattr(vww, "MAX_BYTES", 1000)
    fails(
        coco,
        "30 photographs of 96x96 pixels would .* set a smaller dataset.image_size, in params.yaml or by --set",
    )


def test_where_it_comes_from():
    with pytest.raises(DatasetError, match=r"vww is made from COCO, which is not downloaded .* --path DIR"):
        load("vww")


def test_sets_of_two_years_share_photographs(coco):
    shutil.rmtree(coco / "val2017")
    (coco / "annotations" / "instances_val2017.json").unlink()
    write_set(coco, "val2014", 10)
    fails(coco, "holds train2017 and val2014, which share photographs; use the two sets of one year")


def test_missing_things(coco, tmp_path):
    fails(tmp_path / "none", "holds no annotations/instances_train2017.json")
    (coco / "train2017" / f"{5:012}.jpg").unlink()
    fails(coco, "train2017 lacks 000000000005.jpg, which instances_train2017.json names; get the set again")
    shutil.rmtree(coco / "val2017")
    fails(coco, "holds instances_val2017.json but no folder val2017")


def test_two_years(coco):
    write_set(coco, "train2014", 4)
    fails(coco, "annotations of train2014 and train2017; move one of them away")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.pop("annotations"), "it lacks 'annotations'"),
        (lambda content: content.update(categories=[{"id": 1, "name": "cat"}]), "no category 'person'"),
        (lambda content: content.update(images=[], annotations=[]), "names no photographs"),
        (lambda content: content["annotations"][0].update(bbox=[1, 2]), "not a file of COCO's annotations"),
        (lambda content: content["annotations"][0].update(bbox=None), "not a file of COCO's annotations"),
        (lambda content: content["annotations"][0].update(image_id=-1), "it lacks -1"),
        (lambda content: content["images"][0].update(width="wide"), "not a file of COCO's annotations"),
        (lambda content: content["images"][0].update(file_name="../../secret.jpg"), "outside .*train2017"),
    ],
)
def test_wrong_annotations(coco, edit, message):
    change(coco, edit)
    fails(coco, f"instances_train2017.json .*{message}")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "[" * 100_000])
def test_damaged_annotations(coco, text):
    (coco / "annotations" / "instances_val2017.json").write_text(text)
    fails(coco, "instances_val2017.json is not a file of COCO's annotations: .*; get it again")


def test_damaged_photograph(coco):
    file = coco / "val2017" / f"{2:012}.jpg"
    file.write_bytes(file.read_bytes()[:200])
    fails(coco, "000000000002.jpg cannot be read as an image")


def test_digest_is_that_of_the_pixels(coco):
    data = load("vww", path=str(coco))
    assert data.digest == load("vww", path=str(coco)).digest
    assert np.unique(data.train.y).tolist() == [0, 1]
