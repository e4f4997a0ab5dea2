"""What ``analognas datasets check`` tells of a dataset before anything is trained on it, and how it is written down."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from analognas.datasets.base import PARTS, Dataset, Reading, Split, describe
from analognas.datasets.leftovers import told
from analognas.datasets.parts import listed
from analognas.datasets.records import Twice

if TYPE_CHECKING:
    from analognas.datasets.records import (
        Alike,
        Levels,
        Look,
        LookedReading,
        RecordedLook,
        RecordedReading,
    )

Value = TypeVar("Value")

_EXAMPLES = 3
"""So many pairs of images that are alike are named."""
_SPEAKERS = 6
_CLASSES = 14
"""So many classes have a line of their own; of more, the smallest and the largest."""
_CHUNK = 4096
_DIGEST_SIZE = 16


def look(dataset: Dataset) -> Look:
    """Return what is in a dataset: JSON-serializable, the same for the same files anywhere.

    Besides what ``describe`` records: ``class_counts`` by class and part; ``levels`` of each part (``least``,
    ``greatest``, ``mean``, and how many ``levels`` of a byte are used); ``alike`` (see below); ``notes``; and of data
    of one's own ``reading`` (see ``base.Reading``) and ``split_off``, the parts that were split off here.

    ``alike`` compares the pixels of images as networks see them (of recordings, of the images they become):
    ``in_two_parts`` and ``in_two_classes`` count images that are there more than once, all but the first of each,
    ``repeated`` those that are there again in the same part and class; ``examples`` names some pairs.
    """
    counts = {part: np.bincount(dataset.part(part).y, minlength=dataset.classes).tolist() for part in PARTS}
    balance = {name: {part: counts[part][index] for part in PARTS} for index, name in enumerate(dataset.class_names)}
    described = describe(dataset)
    looked: Look = {
        "name": described["name"],
        "input_shape": described["input_shape"],
        "classes": described["classes"],
        "digest": described["digest"],
        "split_digest": described["split_digest"],
        "sizes": described["sizes"],
        "licence": described["licence"],
        "augment": described["augment"],
        "class_counts": balance,
        "levels": {part: _levels(dataset.part(part)) for part in PARTS},
        "alike": _alike(dataset),
        "notes": list(dataset.notes),
    }
    if dataset.reading is not None:
        looked["reading"] = _plain(dataset.reading)
        looked["split_off"] = [part for part in PARTS if part not in dataset.reading.given]
    looked["notes"] = [*doubts(looked), *looked["notes"]]
    return looked


def recorded(looked: Look) -> RecordedLook:
    """Return what ``data/dataset.json`` keeps of a look, for the report: nothing that is of one machine, no names.

    Leftovers of systems differ from copy to copy, and speakers are counted.
    """
    kept: RecordedLook = {"levels": looked["levels"], "alike": looked["alike"], "notes": looked["notes"]}
    if "reading" in looked:
        reading = looked["reading"]
        kept["reading"] = {
            **reading,
            "leftovers": {},
            "speakers": {part: len(names) for part, names in reading["speakers"].items()},
        }
        kept["split_off"] = looked["split_off"]
        kept["in_two_parts"] = len(_in_two_parts(reading["speakers"]))
    return kept


def doubts(looked: Look) -> list[str]:
    """Return what of a look may be a mistake of data of one's own: images that stand in two parts or two classes."""
    if "reading" not in looked:
        return []
    alike = looked["alike"]
    sentences = []
    for twice, where, remedy in (
        (alike["in_two_parts"], "parts", "what is learned by heart is taken for learned"),
        (alike["in_two_classes"], "classes", "at least one of each pair is labelled wrongly"),
    ):
        if twice["count"]:
            pairs = twice["examples"]
            named = f" ({'; '.join(' and '.join(pair) for pair in pairs[:1])})" if pairs else ""
            sentences.append(f"alike in two {where}: {twice['count']:,} of the images{named}; {remedy}")
    return sentences


def lines(looked: Look) -> Iterator[str]:
    """Yield what a look says as lines of text, one screen at most, without the table of classes."""
    shape = "x".join(map(str, looked["input_shape"]))
    sizes = ", ".join(f"{size:,} {part}" for part, size in looked["sizes"].items())
    yield f"{looked['name']}: {shape}, {looked['classes']} classes, {sizes}"
    rows = [("licence", looked["licence"]), ("digest", looked["digest"]), ("split digest", looked["split_digest"])]
    rows.append(("augmentation", ", ".join(looked["augment"]) or "none"))
    yield from (f"{name:<14} {text}" for name, text in rows)
    yield from of_data(looked)


def of_data(looked: Look | RecordedLook) -> Iterator[str]:
    """Yield what a look, or what was recorded of it, says of files, levels and images that are alike."""
    rows = []
    if "reading" in looked:
        rows += _of_reading(looked["reading"], looked["split_off"])
        rows += _of_speakers(looked["reading"]["speakers"], cast("RecordedLook", looked).get("in_two_parts"))
    rows += [("levels", f"{part}: {_span(levels)}") for part, levels in _by_part(looked["levels"]) if levels]
    rows += _of_alike(looked["alike"])
    rows += [("note", note) for note in looked["notes"]]
    yield from (f"{name:<14} {text}" for name, text in rows)


def table(looked: Look) -> Iterator[str]:
    """Yield how many images of each class each part has; of many classes, the smallest and the largest."""
    counts = looked["class_counts"]
    yield f"{'class':<20} {'train':>8} {'validation':>11} {'test':>6}"
    names = list(counts)
    shown = names
    if len(names) > _CLASSES:
        ranked = sorted(names, key=lambda name: (counts[name]["train"], name))
        half = _CLASSES // 2
        shown = [*ranked[:half], *ranked[-half:]]
    for place, name in enumerate(shown):
        if len(shown) < len(names) and place == len(shown) // 2:
            yield f"... {len(names) - len(shown)} classes between the smallest and the largest (all: --json) ..."
        row = counts[name]
        yield f"{name[:20]:<20} {row['train']:>8} {row['validation']:>11} {row['test']:>6}"


def _plain(reading: Reading) -> LookedReading:
    """Return a reading as JSON has it."""
    return {
        "read": dict(reading.read),
        "passed_over": dict(reading.passed_over),
        "leftovers": dict(reading.leftovers),
        "sizes": reading.sizes,
        "ranges": {part: list(span) for part, span in reading.ranges.items()},
        "speakers": {part: list(names) for part, names in reading.speakers.items()},
        "given": dict(reading.given),
    }


def _of_reading(reading: LookedReading | RecordedReading, split_off: Sequence[str]) -> list[tuple[str, str]]:
    rows = [("read", told(reading["read"]))]
    if reading["passed_over"]:
        rows.append(("passed over", told(reading["passed_over"])))
    if reading["leftovers"]:
        rows.append(("leftovers", told(reading["leftovers"])))
    given = [f"{part} from {name}" for part, name in _by_part(reading["given"])]
    made = [f"{', '.join(split_off)} split off here"] if split_off and given else ["split here"] if split_off else []
    rows.append(("parts", "; ".join([*given, *made])))
    rows.append(("sizes", reading["sizes"]))
    rows += [("range", f"{part}: {low:g} to {high:g}") for part, (low, high) in _by_part(reading["ranges"])]
    return rows


def _of_speakers(speakers: Mapping[str, Any], in_two_parts: int | None) -> list[tuple[str, str]]:
    """Return who is heard where, of names or, in a record, of how many there are."""
    if not speakers:
        return []
    if in_two_parts is not None:
        told_parts = [f"{count:,} {part}" for part, count in _by_part(speakers)]
        both = f"{in_two_parts:,}" if in_two_parts else "none"
    else:
        told_parts = [f"{len(names):,} {part} ({listed(names, _SPEAKERS)})" for part, names in _by_part(speakers)]
        twice = _in_two_parts(speakers)
        both = f"{len(twice):,} ({listed(twice, _SPEAKERS)})" if twice else "none"
    return [("speakers", f"{', '.join(told_parts)}; {both} in two parts")]


def _by_part(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return what there is of each part, training first; a record has them by the alphabet."""
    places = {part: place for place, part in enumerate(PARTS)}
    return sorted(values.items(), key=lambda item: places.get(item[0], len(PARTS)))


def _in_two_parts(speakers: Mapping[str, Sequence[str]]) -> list[str]:
    heard = Counter(speaker for names in speakers.values() for speaker in names)
    return sorted(speaker for speaker, count in heard.items() if count > 1)


def _of_alike(alike: Alike) -> list[tuple[str, str]]:
    rows = []
    for twice, where in ((alike["in_two_parts"], "in two parts"), (alike["in_two_classes"], "in two classes")):
        examples = "; ".join(" and ".join(pair) for pair in twice["examples"])
        rows.append(("alike", f"{twice['count']:,} {where}" + (f": {examples}" if examples else "")))
    if alike["repeated"]:
        rows.append(("alike", f"{alike['repeated']:,} again in the same part and class"))
    return rows


def _levels(split: Split) -> Levels:
    """Return the least, the greatest and the mean value of a part, and how many of the 256 levels are used."""
    if not len(split):
        return {}
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(split), _CHUNK):  # bincount works on 8-byte copies: keep them small
        counts += np.bincount(split.x[start : start + _CHUNK].reshape(-1), minlength=256)
    used = np.flatnonzero(counts)
    mean = float((counts * np.arange(256)).sum() / counts.sum())
    return {"least": int(used[0]), "greatest": int(used[-1]), "mean": round(mean, 2), "levels": len(used)}


def _span(levels: Levels) -> str:
    return f"{levels['least']} to {levels['greatest']}, mean {levels['mean']:.1f}, {levels['levels']} of 256 used"


def _alike(dataset: Dataset) -> Alike:
    """Return how many images are there twice: in two parts, in two classes, or in one and the same."""
    first: dict[bytes, tuple[str, int, str]] = {}
    pairs: dict[str, list[list[str]]] = {"in_two_parts": [], "in_two_classes": []}
    counts = Counter(dict.fromkeys([*pairs, "repeated"], 0))
    for part in PARTS:
        split = dataset.part(part)
        names: Sequence[str] = split.names or [f"{part} {index}" for index in range(len(split))]
        for image, label, name in zip(split.x, split.y.tolist(), names, strict=True):
            key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=_DIGEST_SIZE).digest()
            known = first.setdefault(key, (part, label, name))
            if known[2] is name:
                continue
            differs = {"in_two_parts": known[0] != part, "in_two_classes": known[1] != label}
            kinds = [kind for kind, is_so in differs.items() if is_so]
            for kind in kinds:
                counts[kind] += 1
                if len(pairs[kind]) < _EXAMPLES:
                    pairs[kind].append([known[2], name])
            counts["repeated"] += not kinds
    parts, classes = (Twice(count=counts[kind], examples=pairs[kind]) for kind in pairs)
    return {"in_two_parts": parts, "in_two_classes": classes, "repeated": counts["repeated"]}
