"""The model card of a winner: what it is, of which data, how good it is and for how long, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from analognas.datasets.preprocessing import Preprocessing
from analognas.hardware.tile_shape import TileShape
from analognas.training.columns import time_label

if TYPE_CHECKING:
    from analognas.hardware.recorded import HardwareRecord
    from analognas.training.intervals import CurvePoint

_NOT_RECORDED = "not recorded"
#: What this package says where nobody has told it a licence.
_UNTOLD = ("unknown", "that of the ")
#: Characters that Markdown would take for more than themselves.
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_|<>[]#"})


class DatasetIdentity(TypedDict):
    """Which data: their name, the digest of images and labels, and that of the split."""

    name: str
    digest: str
    split_digest: str


class WinnerManifest(TypedDict):
    """What ``winner.json`` says of a trained winner.

    Attributes:
        format: of the folder.
        dataset: which data.
        part: that it was measured on.
        seed: base seed.
        protocol: the section ``train``.
        row: as ``ResultRow.to_dict`` gives it.
        accuracy: percent, of each programming at each time.
        curve: accuracy after each time with its 90 % interval.
        images: of that part.
        licence: of the data.
        made_with: versions of aihwkit and torch.
    """

    format: int
    dataset: DatasetIdentity
    part: str
    seed: int
    protocol: dict[str, Any]
    row: dict[str, Any]
    accuracy: list[list[float]]
    curve: list[CurvePoint]
    images: int
    licence: str
    made_with: dict[str, str]


@dataclass(frozen=True)
class Known:
    """What a card says besides: what the run knows of the winner, as sentences.

    ``limits`` are the verdicts on the limits of the search, None if there was no search; ``evaluator`` how well the
    evaluator ranks; ``notes`` what else a reader must know.
    """

    limits: Sequence[str] | None = None
    evaluator: str | None = None
    notes: Sequence[str] = ()


def card(content: WinnerManifest, files: Mapping[str, bytes], known: Known) -> str:
    """Return the card of a winner in Markdown; the same winner has the same card.

    Args:
        content: what the manifest says.
        files: ``architecture.json``, ``hardware.json``, ``preprocessing.json``.
        known: what the run knows besides.
    """
    architecture, chip, described = (
        json.loads(files[name]) for name in ("architecture.json", "hardware.json", "preprocessing.json")
    )
    preprocessing = Preprocessing.from_dict(described)
    lines = [f"# {_plain(content['dataset']['name'])}: network {architecture['id']}", ""]
    lines += [*_what(content, architecture, chip), ""]
    lines += ["## How to use it", "", *_use(preprocessing), ""]
    lines += ["## What it takes and gives", "", *_takes(preprocessing), ""]
    lines += [f"## Accuracy while the chip drifts ({content['part']} part, {content['images']:,} images)", ""]
    lines += [*_curve(content), ""]
    lines += ["## Limits of the search", "", *_listed(_limits(known)), ""]
    lines += ["## Evaluator", "", known.evaluator or "How well the evaluator ranks is not known.", ""]
    lines += ["## Data", "", *_listed(_data(content)), ""]
    lines += ["## Protocol", "", *_listed(_protocol(content, chip)), ""]
    if known.notes:
        lines += ["## Notes", "", *_listed(known.notes), ""]
    lines += ["## What it must not be used for", "", *_listed(_not_for(content, chip)), ""]
    return "\n".join(lines)


def _what(content: WinnerManifest, architecture: Mapping[str, Any], chip: HardwareRecord) -> Iterator[str]:
    row = content["row"]
    yield (
        f"A network of {row['params']:,} parameters on {row['tiles']} analog tiles of the simulated chip "
        f"`{chip['rpu_config']}` ({_configured(chip)}), trained to stay accurate while the chip drifts."
    )
    yield ""
    genes = ", ".join(f"{name} {value}" for name, value in architecture["genes"].items())
    yield f"Space {_plain(architecture['space']['name'])}, genes: {_plain(genes)}."


def _configured(chip: HardwareRecord) -> str:
    """Return the tiles, and what is set in place of the chip's own."""
    usual = ("rpu_config", "tile_size", "layers", "digest", "description")
    replaced = [f"{name} {value}" for name, value in chip.items() if name not in usual]
    return ", ".join([str(TileShape.of(chip["tile_size"])), *replaced])


def _use(preprocessing: Preprocessing) -> Iterator[str]:
    if preprocessing.origin.files is not None:
        yield from ("```bash", "analognas predict FILE... --after 30d", "```", "")
        given = "FILES"
    else:
        given = "images"
    yield from (
        "```python",
        "from analognas.training import load_winner",
        "",
        'winner = load_winner("data/winner")',
        f"winner.predict({given}, seconds_after_programming=30 * 86400)",
        "```",
    )


def _takes(preprocessing: Preprocessing) -> Iterator[str]:
    channels, height, width = preprocessing.input_shape
    yield f"- Files: {preprocessing.takes}."
    own = preprocessing.origin.numbers
    low, high = preprocessing.origin.span
    numbers = (
        f"bytes or other integers are levels of 0 to {preprocessing.scale:g}, floating-point numbers are 0 to 1"
        if own is None
        else f"{own} from {low:g} to {high:g}, as in the file of the data"
    )
    yield f"- Arrays: (N, {channels}, {height}, {width}) or (N, {height}, {width}, {channels}); {numbers}."
    if preprocessing.origin.sound is not None:
        kind, seconds, _ = preprocessing.origin.sound
        yield f"- Of a recording: {kind}, {seconds:g} s, brought to 16 kHz."
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (preprocessing.mean, preprocessing.std))
    yield f"- Normalised with mean {mean} and standard deviation {std} of levels / {preprocessing.scale:g}."
    yield f"- Classes: {', '.join(map(_plain, preprocessing.class_names))}."


def _curve(content: WinnerManifest) -> Iterator[str]:
    yield "| after programming | accuracy, % | 90 % interval | std over programmings |"
    yield "| --- | ---: | ---: | ---: |"
    for point in content["curve"]:
        yield (
            f"| {time_label(point['seconds'])} | {point['accuracy']:.2f} | {point['low']:.2f} to {point['high']:.2f} | "
            f"{point['std']:.2f} |"
        )
    row = content["row"]
    repeats = content["protocol"]["repeats"]
    yield ""
    yield (
        f"Over {repeats} programmings and the images, of one training. Without the chip (digital): "
        f"{row['acc_digital']:.2f} %. AVM (1 s minus 30 days): {row['avm']:.2f} points."
    )


def _limits(known: Known) -> Iterator[str]:
    if known.limits is None:
        yield "Not judged: it was not found by a run."
    elif not known.limits:
        yield "None were set."
    else:
        yield from known.limits


def _data(content: WinnerManifest) -> Iterator[str]:
    dataset, licence = content["dataset"], content["licence"]
    yield f"Name: {_plain(dataset['name'])}"
    yield f"Digest of images and labels: `{dataset['digest']}`"
    yield f"Digest of the split: `{dataset['split_digest']}`"
    untold = licence.startswith(_UNTOLD)
    own = "" if licence == "unknown" or not untold else f" ({licence}, which are your own)"
    yield f"Licence: {_NOT_RECORDED if untold else _plain(licence)}{own}"


def _protocol(content: WinnerManifest, chip: HardwareRecord) -> Iterator[str]:
    protocol = content["protocol"]
    yield f"{protocol['epochs']} digital and {protocol['hwa_epochs']} hardware-aware epochs, seed {content['seed']}"
    times = ", ".join(time_label(time) for time in protocol["times"])
    yield f"{protocol['repeats']} programmings, each drifted to {times}"
    yield f"Digest of the chip's configuration: `{chip['digest']}`"
    yield f"Made with {', '.join(f'{name} {number}' for name, number in content['made_with'].items())}"


def _not_for(content: WinnerManifest, chip: HardwareRecord) -> Iterator[str]:
    longest = time_label(max(content["protocol"]["times"]))
    yield (
        f"Other chips than `{chip['rpu_config']}` as it is configured here, and real devices without measuring on "
        "them: every figure above is simulated."
    )
    yield f"Devices older than {longest}: nothing was measured there."
    yield (
        "Inputs that are unlike the data: other cameras, microphones, places, people. It always answers with one of "
        "its classes, also where none fits, and its confidence is not calibrated."
    )
    yield (
        "Decisions about people, or where an error harms somebody, without a validation of your own: nothing here "
        "looked at groups, rare cases or attacks."
    )
    if content["licence"].startswith(_UNTOLD):
        yield "Anything that the licence of the data does not allow; which that is was not recorded."
    else:
        yield f"Anything that the licence of the data does not allow ({_plain(content['licence'])})."


def _listed(sentences: Iterator[str] | Sequence[str]) -> Iterator[str]:
    yield from (f"- {sentence}" for sentence in sentences)


def _plain(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return text.translate(_SPECIAL)
