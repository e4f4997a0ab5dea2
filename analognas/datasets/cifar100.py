"""The real CIFAR-100 (Krizhevsky 2009): 60,000 RGB images of 32x32 pixels in 100 classes (its fine labels)."""

from __future__ import annotations

from analognas.datasets import cifar
from analognas.datasets.base import Dataset, Options
from analognas.datasets.published import CIFAR100 as FILES

CLASS_NAMES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
    "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
    "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
    "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
    "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
    "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
    "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip

FORMAT = cifar.Format(
    name="cifar100",
    title="CIFAR-100",
    class_names=CLASS_NAMES,
    batches=("train", "test"),
    label_bytes=2,  # the coarse label, then the fine one
    labels="fine_labels",
    metas=("fine_label_names.txt", "meta"),
    names="fine_label_names",
    folders=("cifar-100-binary", "cifar-100-python"),
    archives=("cifar-100-binary.tar.gz", "cifar-100-python.tar.gz"),
)


def load(options: Options) -> Dataset:
    """Return CIFAR-100, input shape (3, 32, 32), its 100 fine classes; see ``cifar.load``."""
    return cifar.load(FORMAT, FILES[0], options)
