import json
from pathlib import Path

import pytest

from analognas.datasets import Dataset
from analognas.params import HardwareParams, TrainingParams
from analognas.search_spaces.architecture import Architecture
from analognas.training import characterize
from analognas.training.card import Known, card
from analognas.training.winner import Packed, pack


@pytest.fixture(scope="module")
def packed(architecture: Architecture, dataset: Dataset, protocol: TrainingParams) -> Packed:
    return pack(characterize(architecture, dataset, HardwareParams(), protocol, seed=3, part="test"), dataset)


NOTHING = Known()


def text(packed: Packed, known: Known = NOTHING, **changes: object) -> str:
    return card(packed.content | changes, packed.files, known)


def test_it_says_what_is_set_in_place_of_the_chips_own(packed: Packed):
    chip = json.loads(packed.files["hardware.json"]) | {"tile_size": [64, 128], "adc_bits": 9}
    told = card(packed.content, packed.files | {"hardware.json": json.dumps(chip).encode()}, NOTHING)
    assert "`analognas-bench` (64 x 128, adc_bits 9), trained" in told


def test_it_says_what_it_is_of_which_data_and_how_good(packed: Packed, dataset: Dataset):
    told = text(packed)
    row = packed.content["row"]
    for part in (
        f"{row['params']:,} parameters on {row['tiles']} analog tiles",
        "`analognas-bench` (256 x 256)",
        dataset.digest,
        dataset.split_digest,
        "Classes: a, b, c.",
        "(N, 1, 8, 8)",
        "2 digital and 2 hardware-aware epochs, seed 3",
        "test part, 30 images",
        f"AVM (1 s minus 30 days): {row['avm']:.2f} points",
        "## What it must not be used for",
    ):
        assert part in told
    rows = [line for line in told.splitlines() if line.startswith("| ") and " to " in line]
    assert [line.split("|")[1].strip() for line in rows] == ["1s", "1h", "1d", "30d"]
    point = packed.content["curve"][2]
    assert f"| {point['accuracy']:.2f} | {point['low']:.2f} to {point['high']:.2f} |" in rows[2]


def test_what_the_run_knows_is_in_it(packed: Packed):
    known = Known(["search.T_AVM is held: 1.00 points"], "Kendall tau 0.80.", ["Something came closest."])
    told = text(packed, known)
    assert all(part in told for part in (*known.limits, known.evaluator, *known.notes))
    bare = text(packed)
    assert "was not found by a run" in bare
    assert "is not known" in bare
    assert "## Notes" not in bare
    assert "None were set" in text(packed, Known(limits=[]))


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC BY 4.0", "Licence: CC BY 4.0\n"),
        ("unknown", "Licence: not recorded\n"),
        ("that of the images", "Licence: not recorded (that of the images, which are your own)\n"),
    ],
)
def test_the_licence_of_the_data_is_told_if_it_is_known(packed: Packed, licence: str, expected: str):
    assert expected in text(packed, licence=licence)


def test_names_are_shown_as_they_are(packed: Packed):
    dataset = packed.content["dataset"] | {"name": "a|b_*c*"}
    assert r"a\|b\_\*c\*" in text(packed, dataset=dataset)


def test_it_holds_no_place_and_no_time(packed: Packed, tmp_path: Path):
    packed.write(tmp_path / "one")
    packed.write(tmp_path / "two")
    first, second = ((tmp_path / name / "card.md").read_bytes() for name in ("one", "two"))
    assert first == second == text(packed).encode()
    assert str(Path.home()).encode() not in first
