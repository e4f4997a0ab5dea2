"""What is written down of a dataset, and what a look at it tells: plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict


class InputDescription(TypedDict):
    """What of a dataset decides the networks for it: ``input_shape`` is (channels, height, width)."""

    name: str
    input_shape: Sequence[int]
    classes: int


class Levels(TypedDict, total=False):
    """The values of the images of a part, of 0 to 255, and how many of these are used; empty of an empty part."""

    least: int
    greatest: int
    mean: float
    levels: int


class Twice(TypedDict):
    """How many images are there more than once, all but the first of each; ``examples`` names some pairs."""

    count: int
    examples: list[list[str]]


class Alike(TypedDict):
    """Images of the same pixels: in two parts, in two classes, and how many again in the same part and class."""

    in_two_parts: Twice
    in_two_classes: Twice
    repeated: int


class ReadingFigures(TypedDict):
    """A ``base.Reading`` but for its speakers."""

    read: dict[str, int]
    passed_over: dict[str, int]
    leftovers: dict[str, int]
    sizes: str
    ranges: dict[str, list[float]]
    given: dict[str, str]


class LookedReading(ReadingFigures):
    """A ``base.Reading`` with the names of the speakers in each part."""

    speakers: dict[str, list[str]]


class RecordedReading(ReadingFigures):
    """A ``base.Reading`` with how many speakers are in each part."""

    speakers: dict[str, int]


class RecordedLook(TypedDict):
    """What ``data/dataset.json`` keeps of a look; the last three of data of one's own.

    ``in_two_parts`` counts speakers. ``split_off`` are the parts that were split off here.
    """

    levels: dict[str, Levels]
    alike: Alike
    notes: list[str]
    reading: NotRequired[RecordedReading]
    split_off: NotRequired[list[str]]
    in_two_parts: NotRequired[int]


class Description(InputDescription):
    """A dataset as ``data/dataset.json`` records it: digests and images of each part besides.

    ``looked`` is what ``looking.recorded`` keeps for the report; it decides nothing, and older records lack it.
    """

    digest: str
    split_digest: str
    sizes: dict[str, int]
    licence: str
    augment: list[str]
    looked: NotRequired[RecordedLook]


class Look(Description):
    """What ``looking.look`` tells of a dataset."""

    class_counts: dict[str, dict[str, int]]
    levels: dict[str, Levels]
    alike: Alike
    notes: list[str]
    reading: NotRequired[LookedReading]
    split_off: NotRequired[list[str]]
