from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from analognas.errors import CorruptFileError, InputError, WorkspaceError
from analognas.folders import read_folder, write_folder
from analognas.search_spaces.structure import AnalogLayer, Structure
from analognas.training.measured import MANIFEST, Stored, all_measured, checked_name, load_measured, most_sensitive

STRUCTURE = Structure((AnalogLayer("a", "conv", 1, 2, 3, 1, 8, 8, True, 1),), 0, 1, 1, 0, ())
INPUTS = {"network": "n", "dataset": {"name": "d"}, "hardware": "h", "protocol": {"epochs": 1}, "seed": 0,
          "part": "test", "hardware_aware": True}  # fmt: skip


def stored(**changes: object) -> Stored:
    given = {
        "name": "net", "inputs": INPUTS, "figures": {"params": 20, "acc_1d": 50.0}, "curve": [], "accuracy": [[1.0]],
        "classes": [{"class": "a", "images": 3, "acc_1d": 50.0, "acc_30d": 40.0}],
        "structure": STRUCTURE, "notes": ["a note"], "sensitivity": None, "hardware": {"digest": "h"},
        "weights": save({"w": torch.ones(2)}),
    }  # fmt: skip
    return Stored(**given | changes)  # type: ignore[arg-type]


def test_what_was_measured_comes_back(tmp_path: Path) -> None:
    stored().write(tmp_path / "net")
    assert load_measured(tmp_path / "net") == stored()
    torch.testing.assert_close(load_measured(tmp_path / "net").state, {"w": torch.ones(2)})
    stored().with_sensitivity([{"layer": "a"}]).write(tmp_path / "net")
    assert load_measured(tmp_path / "net").sensitivity == [{"layer": "a"}]


def test_one_of_an_earlier_version_has_no_classes(tmp_path: Path) -> None:
    stored().write(tmp_path / "net")
    content, files = read_folder(tmp_path / "net", MANIFEST, remedy="")
    del content["classes"]
    write_folder(tmp_path / "net", MANIFEST, content, files)
    assert load_measured(tmp_path / "net") == stored(classes=[])


def test_a_damaged_one_is_said_and_no_other_is_lost(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        stored(name=name).write(tmp_path / name)
    model = tmp_path / "b" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    whole, damaged = all_measured(tmp_path)
    assert [one.name for one in whole] == ["a", "c"]
    assert damaged == [f"{model} is damaged (its digest does not fit): delete the folder and run `analognas measure` "
                       "again."]  # fmt: skip
    with pytest.raises(CorruptFileError):
        load_measured(tmp_path / "b")
    assert all_measured(tmp_path / "none") == ([], [])


def test_foreign_files_stay(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "mine.txt").write_text("x")
    with pytest.raises(WorkspaceError, match=r"mine\.txt"):
        stored().write(tmp_path / "net")


def test_it_stands_beside_a_winner_of_the_same_data_chip_and_protocol_alone() -> None:
    winner = {name: INPUTS[name] for name in ("dataset", "part", "protocol", "seed")}
    assert stored().is_of(winner, {"digest": "h"})
    assert not stored().is_of(winner, {"digest": "other"})
    for name in winner:
        assert not stored().is_of(winner | {name: "other"}, {"digest": "h"})


def test_what_differs_is_named() -> None:
    assert stored().differs(INPUTS) == []
    assert stored().differs(INPUTS | {"hardware_aware": False, "seed": 1}) == [
        "seed",
        "choice of hardware-aware training",
    ]


@pytest.mark.parametrize("name", ["", "..", ".a", "a/b", "a b", "x" * 65])
def test_names_are_those_of_a_folder(name: str) -> None:
    with pytest.raises(InputError, match="no name of a network"):
        checked_name(name)


def test_the_layers_that_lose_are_told_most_first() -> None:
    rows = [{"layer": name, "lost": lost, "gained": gained, "sure": sure}
            for name, lost, gained, sure in (("a", 1.0, 0.0, True), ("b", 0.5, 3.0, True), ("c", 9.0, 9.0, False),
                                             ("d", -1.0, -2.0, True))]  # fmt: skip
    told = most_sensitive(rows)
    assert told.startswith("Accuracy after a day is lost in 'b' (0.50 points if it alone is analog, 3.00 gained if")
    assert told.index("'b'") < told.index("'a'")
    assert "'c'" not in told
    assert "'d'" not in told
    assert most_sensitive(rows[2:]) == "No layer by itself loses more than the spread over programmings."
