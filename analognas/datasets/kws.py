"""Keyword spotting: Speech Commands v2 (Warden, arXiv 1804.03209), or recordings of your own, as small images."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from analognas.causes import wrong
from analognas.datasets import cache, wav
from analognas.datasets.audio import KINDS, MAX_IMAGE_SIZE, RATE, Features, resample
from analognas.datasets.base import PARTS, Bytes, Dataset, Integers, Options, Origin, Reading, assemble, refuse_constant
from analognas.datasets.download import fetch
from analognas.datasets.leftovers import ending, told
from analognas.datasets.parts import listed, parts_of
from analognas.datasets.published import SPEECH_COMMANDS as FILES
from analognas.datasets.recordings import Source, class_names, open_source
from analognas.datasets.recordings import recordings as recordings_of
from analognas.datasets.sounds import Sounds, image_of
from analognas.datasets.speakers import NOISE, OTHERS, WORDS, Recording, looks_spoken
from analognas.datasets.splits import split_off, split_off_groups, stratified_order
from analognas.errors import DatasetError
from analognas.seeds import numpy_generator

LICENCE = "CC BY 4.0"
OWN_LICENCE = "that of the recordings"
AUGMENT = ("shift", "noise")
SHARE = 0.1
"""How many recordings of silence and of other words there are, for one of the ten words' recordings."""

_REPORT_EVERY = 500
# The hash by which Speech Commands gives recordings to parts: percentages of a SHA-1 modulo 2**27.
_HASH_RANGE = 2**27
_HASH_SHARES = (("validation", 10.0), ("test", 20.0), ("train", 101.0))


def load(options: Options) -> Dataset:
    """Return recordings as images of one channel, (1, frames, bands): (1, 49, 10) with the defaults.

    ``options.path`` is the folder or archive of Speech Commands or of recordings of one's own (see
    ``recordings.recordings``); without it Speech Commands v2 is downloaded once into the cache folder.
    ``classes``: 12 (ten words, silence, unknown; default) or 35 (all words); only of Speech Commands, whose parts are
    its own. Other recordings are split off as images of an image folder are, but so that nobody is heard in two parts
    where the names tell the speaker. ``features``: ``mfcc`` (default) or ``log-mel``; ``seconds``: length that is
    looked at (default 1); ``image_size``: as many frames and bands.
    Raises ``DatasetError`` that names the file or folder which cannot be used.
    """
    features = _features(options)
    if options.path is None:
        path = fetch(FILES[0], what="Speech Commands", progress=options.progress)
    else:
        path = Path(options.path).expanduser()
    source = open_source(path)
    all_recordings = recordings_of(source)
    if _is_speech_commands(all_recordings):
        return _speech_commands(source, all_recordings, features, options)
    if options.classes is not None:
        raise DatasetError(
            f"dataset.classes is {options.classes}, but {path} is not Speech Commands; leave dataset.classes out."
        )
    return _own(source, [recording for recording in all_recordings if recording.label != NOISE], features, options)


def _is_speech_commands(recordings: Sequence[Recording]) -> bool:
    """Return whether the ten words are there, under names as they have in Speech Commands: others are one's own."""
    words = [recording for recording in recordings if recording.label in WORDS]
    return {recording.label for recording in words} == set(WORDS) and all(
        "_nohash_" in recording.name for recording in words
    )


def _features(options: Options) -> Features:
    kind = options.features or KINDS[0]
    if kind not in KINDS:
        raise DatasetError(f"dataset.features is {kind!r}; there are {' and '.join(KINDS)}.")
    if options.image_size is not None and not 4 <= options.image_size <= MAX_IMAGE_SIZE:
        raise DatasetError(f"dataset.image_size is {options.image_size}; for recordings it is 4 to {MAX_IMAGE_SIZE}.")
    seconds = 1.0 if options.seconds is None else options.seconds
    if not 0.1 <= seconds <= 60:
        raise DatasetError(f"dataset.seconds is {seconds}; it has to be 0.1 to 60.")
    return Features(kind, seconds, options.image_size)


def _own(source: Source, recordings: list[Recording], features: Features, options: Options) -> Dataset:
    names = class_names(source, recordings)
    y = np.asarray([names.index(recording.label) for recording in recordings], dtype=np.int64)
    parts = {
        part: [i for i, recording in enumerate(recordings) if (recording.part or "train") == part] for part in PARTS
    }
    given = {}
    for part, members in parts.items():
        if members:
            index = np.asarray(members, dtype=np.int64)
            order = stratified_order(y[index], seed=options.split_seed, purpose=f"kws {part}")
            given[part] = index[order]
    if any(recording.speaker for recording in recordings):
        groups = [recording.speaker or recording.name for recording in recordings]
        split = split_off_groups(given, groups, y, names, seed=options.split_seed, purpose="kws")
    else:
        split = split_off(given, y, names, "recordings")
    x, sounds = _decoded(source, recordings, features, options)
    refuse_constant(source.path, x, "recordings")
    return assemble(
        "kws",
        x,
        y,
        split,
        class_names=names,
        licence=OWN_LICENCE,
        augment=AUGMENT,
        doubts=_doubts(source, recordings, given),
        notes=_notes(recordings, x),
        names=[recording.name for recording in recordings],
        reading=Reading(
            read=Counter(ending(recording.name.rpartition("/")[2]) for recording in recordings),
            passed_over=source.passed_over.files,
            leftovers=source.passed_over.leftovers,
            sizes=sounds.lengths(features),
            speakers=_by_part(recordings, split),
            given={
                part: _folder(recordings, part) for part in PARTS if any(entry.part == part for entry in recordings)
            },
        ),
        origin=_origin(features),
    )


def _origin(features: Features) -> Origin:
    return Origin(files="recordings", sound=(features.kind, features.seconds, features.size))


def _folder(recordings: Sequence[Recording], part: str) -> str:
    """Return how the folder of a part is called."""
    name = next(recording.name for recording in recordings if recording.part == part)
    return next((folder for folder in name.split("/") if parts_of([folder]).get(folder) == part), part)


def _by_part(recordings: Sequence[Recording], split: Mapping[str, Integers]) -> dict[str, list[str]]:
    """Return who is heard in each part, as far as it is told; nothing if it is told of nobody."""
    heard = {
        part: sorted({str(recordings[place].speaker) for place in index.tolist() if recordings[place].speaker})
        for part, index in split.items()
    }
    return {part: heard[part] for part in PARTS} if any(heard.values()) else {}


def _doubts(source: Source, recordings: Sequence[Recording], given: Mapping[str, Integers]) -> list[str]:
    """Return what may be a mistake: files that are not read, and speakers who may be heard in two parts."""
    doubts = []
    missed = source.passed_over.missed
    if missed:
        doubts.append(f"{told(missed)} passed over, which are not read; convert them to WAV or move them")
    words = looks_spoken([recordings[index] for index in given["train"]]) if len(given) < len(PARTS) else []
    if words:
        doubts.append(
            f"recordings are divided without regard to who speaks; if {listed(words)} in their names are speakers, "
            "call the files CLASS_SPEAKER_NUMBER.wav, so that nobody is heard in two parts"
        )
    heard: dict[str, set[str]] = {}
    for recording in recordings:
        if recording.speaker and recording.part:
            heard.setdefault(recording.part, set()).add(recording.speaker)
    for part, other in itertools.combinations([part for part in PARTS if part in heard], 2):
        both = sorted(heard[part] & heard[other])
        if both:
            doubts.append(
                f"{len(both):,} speakers ({listed(both)}) are heard in {part} and in {other}, so "
                f"{other} does not tell how it does with somebody it never heard; keep each speaker in one folder"
            )
    return doubts


def _notes(recordings: Sequence[Recording], x: Bytes) -> list[str]:
    """Return what else is to be known of recordings: who tells the speakers, and silence."""
    speakers = {recording.speaker for recording in recordings if recording.speaker}
    by_folder = all(recording.speaker in recording.name.split("/")[:-1] for recording in recordings)
    by = "the folders that hold the classes" if by_folder else "their names"
    notes = [
        f"recordings: {len(speakers)} speakers, as {by} tell" if speakers else "recordings: the names tell no speakers"
    ]
    silent = np.count_nonzero(~x.any(axis=(1, 2, 3)))
    return [*notes, *([f"{silent:,} recordings are silent"] if silent else [])]


def _speech_commands(source: Source, recordings: list[Recording], features: Features, options: Options) -> Dataset:
    words = [
        recording._replace(part=recording.part or _hashed_part(recording))
        for recording in recordings
        if recording.label != NOISE
    ]
    if options.classes == len(WORDS) + len(OTHERS):
        names = sorted((*WORDS, *OTHERS))
        missing = sorted(set(names) ^ {recording.label for recording in words})
        if missing:
            raise DatasetError(
                f"{source.path} differs from Speech Commands v2 in the word {missing[0]!r}; get it again."
            )
        kept, noise = words, []
    elif options.classes in (None, len(WORDS) + 2):
        names = ["silence", "unknown", *WORDS]
        kept, noise = (
            _twelve(words, options.split_seed),
            [recording for recording in recordings if recording.label == NOISE],
        )
        if not noise:
            raise DatasetError(f"{source.path} lacks {NOISE}, from which silence is made; get Speech Commands again.")
    else:
        raise DatasetError(f"dataset.classes is {options.classes}; Speech Commands has 12 or 35.")
    x, _ = _decoded(source, kept, features, options)
    y = [names.index(recording.label if recording.label in names else "unknown") for recording in kept]
    parts = [str(recording.part) for recording in kept]
    if noise:
        quiet = {
            part: math.ceil(SHARE * sum(recording.part == part and recording.label in WORDS for recording in kept))
            for part in PARTS
        }
        x = np.concatenate([x, _silence(source, noise, quiet, features, options.split_seed)])
        y += [0] * sum(quiet.values())
        parts += [part for part in PARTS for _ in range(quiet[part])]
    split = {part: _of_part(parts, part) for part in PARTS}
    return assemble("kws", x, y, split, class_names=names, licence=LICENCE, augment=AUGMENT, origin=_origin(features))


def _of_part(parts: Sequence[str], part: str) -> Integers:
    return np.flatnonzero(np.asarray(parts) == part).astype(np.int64)


def _hashed_part(recording: Recording) -> str:
    """Return the part by the hash that Speech Commands is split by: all recordings of a speaker are in one."""
    stem = recording.name.rpartition("/")[2].partition("_nohash_")[0]
    digest = int(hashlib.sha1(stem.encode(), usedforsecurity=False).hexdigest(), 16)
    percentage = digest % _HASH_RANGE * (100.0 / (_HASH_RANGE - 1))
    return next(part for part, limit in _HASH_SHARES if percentage < limit)


def _twelve(words: list[Recording], seed: int) -> list[Recording]:
    """Return the recordings of the ten words, and in each part a few of the others."""
    kept = []
    for part in PARTS:
        part_words = [recording for recording in words if recording.part == part]
        wanted = [recording for recording in part_words if recording.label in WORDS]
        others = [recording for recording in part_words if recording.label not in WORDS]
        draws = numpy_generator(seed, "split", "kws unknown", part).random(len(others))
        chosen = np.argsort(draws, kind="stable")[: math.ceil(SHARE * len(wanted))]
        kept += [*wanted, *(others[index] for index in chosen)]
    return sorted(kept)


def _silence(source: Source, noise: list[Recording], counts: dict[str, int], features: Features, seed: int) -> Bytes:
    """Return stretches of the background noise at random volumes; no part shares a stretch with another.

    The first 80 % of each recording are for training, then 10 % for validation and 10 % for test.
    """
    read = sorted(source.read(recording.name for recording in noise))
    waves = [resample(sound.wave, sound.rate) for sound in (_sound(source, name, data) for name, data in read)]
    images = np.empty((sum(counts.values()), 1, *features.shape), dtype=np.uint8)
    bounds = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
    position = 0
    for part in PARTS:
        low, high = bounds[part]
        for which, where, volume in numpy_generator(seed, "split", "kws silence", part).random((counts[part], 3)):
            wave = waves[int(which * len(waves))]
            stretch = wave[int(low * len(wave)) : int(high * len(wave))]
            start = int(where * max(0, len(stretch) - features.samples))
            images[position, 0] = features(stretch[start : start + features.samples] * volume)
            position += 1
    return images


def _decoded(
    source: Source, recordings: Sequence[Recording], features: Features, options: Options
) -> tuple[Bytes, Sounds]:
    """Return all images, uint8 (N, 1, frames, bands), and what they were, from the cache if no file changed since."""
    names = [recording.name for recording in recordings]
    key = cache.fingerprint(
        "kws", str(source.path.resolve()), source.state, features.kind, features.seconds, features.size, RATE, names
    )
    stored = cache.read(key)
    if stored is not None and len(stored["x"]) == len(names):
        return stored["x"], Sounds(stored["sounds"])
    x = np.empty((len(names), 1, *features.shape), dtype=np.uint8)
    sounds = Sounds.empty(len(names))
    place = {name: index for index, name in enumerate(names)}
    for done, (name, data) in enumerate(source.read(names), start=1):
        sound = _sound(source, name, data)
        x[place[name], 0], samples = image_of(sound, features)
        sounds.put(place[name], sound.rate, sound.channels, samples)
        if options.progress is not None and (done % _REPORT_EVERY == 0 or done == len(names)):
            options.progress(done, len(names), "reading recordings")
    cache.write(key, {"x": x, "sounds": sounds.facts})
    return x, sounds


def _sound(source: Source, name: str, data: bytes) -> wav.Sound:
    try:
        return wav.read(data)
    except ValueError as error:
        raise DatasetError(
            f"{source.place(name)} cannot be read as a WAV file ({wrong(error)}); remove or replace it."
        ) from error
