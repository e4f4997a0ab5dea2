import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analognas.errors import CorruptFileError
from analognas.pages import content
from analognas.report import collect, told
from analognas.workspace import Paths


def test_what_a_page_shows_is_what_the_stages_wrote(finished: Paths):
    found = content.read(finished)
    assert found.figures == collect(finished)
    assert set(found.curves["network"]) == {"winner", "plain residual network"}
    assert len(found.measured) == 10
    assert [name for name, _ in found.origin][:2] == ["data", "licence of the data"]
    assert dict(found.origin)["table of characterizations"].endswith("rounds: none")
    assert found.subject == f"digits, analognas-bench, at most {found.figures['budget']:,} parameters"


def test_the_tiles_of_the_layers_are_those_of_the_winner(finished: Paths):
    found = content.read(finished)
    assert sum(layer.tiles for layer in found.layers) == found.figures["winner"]["tiles"]
    stem = found.layers[0]
    assert (stem.down, stem.across) == (1, 1)
    assert stem.filled == (stem.rows / 256, stem.columns / 256)


def test_a_large_layer_is_split_into_equal_parts(finished: Paths):
    figures = {"hardware": {"tile_size": [4, 5]}}
    layers = list(content._layers(finished, figures))
    linear = layers[-1]
    assert linear.what.startswith("linear layer")
    assert (linear.down, linear.across) == (-(-linear.rows // 4), -(-linear.columns // 5))
    assert linear.filled == (linear.rows / linear.down / 4, linear.columns / linear.across / 5)


def test_a_winner_of_a_space_that_is_not_installed_is_not_drawn(finished_copy: Paths):
    from analognas.folders import read_folder, write_folder

    manifest, files = read_folder(finished_copy.winner, "winner.json", remedy="")
    architecture = json.loads(files["architecture.json"])
    architecture["space"]["family"] = "somebody-else's"
    manifest = {name: value for name, value in manifest.items() if name not in ("digest", "checksum", "files")}
    files = {**files, "architecture.json": json.dumps(architecture).encode()}
    write_folder(finished_copy.winner, "winner.json", manifest, files)
    assert content.read(finished_copy).layers == ()


@pytest.mark.parametrize("name", ["train.csv", "classes.csv", "fit.csv", "search.csv"])
def test_a_damaged_table_is_one_sentence(finished_copy: Paths, name: str):
    finished_copy.plot(name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptFileError, match=rf"{name} is damaged.*`analognas run` writes it"):
        content.read(finished_copy)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("train.csv", lambda table: table.drop(columns="std"), "no column 'std'"),
        ("train.csv", lambda table: table.assign(accuracy=1000.0), "accuracy = 1000"),
        ("classes.csv", lambda table: table.assign(acc_30d=-1.0), "acc_30d = -1"),
        ("fit.csv", lambda table: table.assign(acc_1d="much"), "acc_1d = 'much'"),
        ("search.csv", lambda table: table.assign(evaluation=0.5), "evaluation = 0.5"),
    ],
)
def test_a_table_that_somebody_edited_is_one_sentence(finished_copy: Paths, name: str, change: Any, words: str):
    file = finished_copy.plot(name)
    change(pd.read_csv(file)).to_csv(file, index=False)
    with pytest.raises(CorruptFileError, match=re.escape(name)) as caught:
        content.read(finished_copy)
    assert words in str(caught.value)


def test_a_class_may_have_any_name(finished_copy: Paths):
    file = finished_copy.plot("classes.csv")
    table = pd.read_csv(file).head(3).assign(**{"class": ["NA", "007", "1e5"]})
    table.to_csv(file, index=False)
    assert content.read(finished_copy).classes["class"].tolist() == ["NA", "007", "1e5"]


def test_classes_of_the_users_own_networks_stand_behind_the_others(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    figures = collect(finished)
    row = {"class": "7", "images": 3, "acc_1d": 50.0, "acc_30d": 40.0}
    own = {
        "name": "net",
        "figures": {"params": 9, "tiles": 2},
        "curve": [],
        "cost": None,
        "sensitivity": None,
        "notes": [],
    }
    others = [{**own, "classes": [row]}, {**own, "name": "old", "classes": []}]
    monkeypatch.setattr(content, "collect", lambda _: {**figures, "own": others})
    monkeypatch.setattr(content, "told", lambda _: told(figures))
    classes = content.read(finished).classes
    assert classes.iloc[-1].to_dict() == {"network": "net (yours)", **row}
    assert set(classes["network"]) == {"winner", "plain residual network", "net (yours)"}


def test_before_a_run_there_is_no_page(tmp_path: Path):
    with pytest.raises(CorruptFileError, match="`analognas run` writes it"):
        content.read(Paths(tmp_path))
