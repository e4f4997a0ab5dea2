from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from analognas.errors import InputError
from analognas.evaluators.registry import load_evaluator
from analognas.files import read_parquet, read_sealed, write_parquet
from analognas.params import Params
from analognas.params.file import override
from analognas.stages.explaining import explain, of_sample
from analognas.stages.rows import read_table
from analognas.workspace import Paths


def told(paths: Paths, asked: str | None = None) -> dict[str, Any]:
    return explain(Params.load(paths.params), paths, asked)


def test_the_winner_is_explained_if_nobody_is_named(finished: Paths):
    known = told(finished)
    train = read_sealed(finished.metrics("train"), remedy="")["winner"]
    assert (known["id"], known["params"], known["tiles"]) == (train["id"], train["params"], train["tiles"])
    assert known["winner"] == train
    assert known["cost"]["latency_us"] > 0
    meanings = {gene["name"]: gene["meaning"] for gene in known["genes"]}
    assert meanings["M"] == "main blocks, one after the other"
    assert meanings["R1"] == "residual blocks in main block 1, one after the other"
    assert all(meanings.values())
    json.dumps(known, allow_nan=False)


def test_what_was_characterized_is_known_by_its_first_digits(finished: Paths):
    table = read_parquet(finished.surrogate, remedy="")
    row = table[table["status"] == "ok"].iloc[0]
    known = told(finished, row["id"][:10])
    assert known["id"] == row["id"]
    (measured,) = known["measured"]
    assert (measured["acc_1d"], measured["role"]) == (row["acc_1d"], "sample")
    assert known["prediction"]["measured"]


def test_the_contributions_add_up_to_what_the_evaluator_predicts(finished: Paths):
    known = told(finished)
    evaluator = load_evaluator(finished.evaluator)
    for target, parts in known["contributions"].items():
        (architecture,) = [a for a in evaluator.evidence_.architectures if a.id == known["id"]] or [None]
        total = parts["base_on_scale"] + sum(row["on_scale"] for row in parts["features"])
        assert len(parts["features"]) == len(evaluator.feature_names())
        strengths = [abs(row["on_scale"]) for row in parts["features"]]
        assert strengths == sorted(strengths, reverse=True)
        if architecture is not None:
            model = evaluator.model_.targets[target]
            features = evaluator.schema_.transform([architecture])
            assert total == pytest.approx(model.ensemble.predict(features).mean(), abs=1e-4)


def test_genes_are_taken_as_json(finished: Paths):
    genes = {"out_channel0": 5, "kernel_size0": 3, "M": 1, "R1": 1, "B1": 1, "convblock1": "basic", "widenfact1": 1}
    known = told(finished, json.dumps(genes))
    assert {gene["name"]: gene["value"] for gene in known["genes"]} == genes
    assert known["winner"] is None
    assert known["in_space"]
    assert not told(finished, json.dumps(genes | {"out_channel0": 16, "widenfact1": 3}))["in_space"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("{", "is no JSON"),
        ('{"M": 1}', "See `analognas spaces`"),
        ("nonsense", "names no architecture"),
        ("0000000000000000", "No architecture of this workspace begins with"),
    ],
)
def test_what_is_no_architecture_is_refused(finished: Paths, asked: str, said: str):
    with pytest.raises(InputError, match=said):
        told(finished, asked)


def test_before_a_run_and_on_another_chip_nothing_is_predicted(finished_copy: Paths, workspace: Paths):
    genes = {"out_channel0": 5, "kernel_size0": 3, "M": 1, "R1": 1, "B1": 1, "convblock1": "basic", "widenfact1": 1}
    known = told(workspace, json.dumps(genes))
    assert (known["prediction"], known["measured"]) == (None, [])
    assert "`analognas run`" in known["evaluator"]
    override(finished_copy.params, ["hardware.adc_bits=4"])
    known = told(finished_copy)
    assert known["prediction"] is None
    assert "hardware" in known["evaluator"]


def test_the_contributions_of_the_sample_are_those_of_each_architecture(finished: Paths):
    table = of_sample(Params.load(finished.params), finished, "avm")
    known = told(finished)
    evaluator = load_evaluator(finished.evaluator)
    assert set(table["feature"]) <= set(evaluator.feature_names())
    row = table.iloc[0]
    assert table["id"].nunique() == 10
    features = {each["feature"]: each for each in told(finished, row["id"])["contributions"]["avm"]["features"]}
    assert features[row["feature"]]["points"] == pytest.approx(row["points"], abs=1e-6)
    assert features[row["feature"]]["value"] == pytest.approx(row["value"])
    assert known["contributions"]["avm"]["features"]


def test_an_evaluator_of_another_chip_tells_nothing_of_the_sample(finished_copy: Paths):
    params = Params.load(finished_copy.params)
    table = read_table(finished_copy)
    write_parquet(finished_copy.surrogate, table.assign(hardware="analognas-bench-of-then"))
    assert of_sample(params, finished_copy, "avm").empty
    write_parquet(finished_copy.surrogate, table)
    assert not of_sample(params, finished_copy, "avm").empty


def test_what_the_sample_shows_needs_no_simulator(finished: Paths):
    code = (
        "import sys\nfrom analognas.params import Params\nfrom analognas.stages.explaining import of_sample\n"
        "from analognas.workspace import Paths\nfrom pathlib import Path\npaths = Paths(Path(sys.argv[1]))\n"
        "assert len(of_sample(Params.load(paths.params), paths, 'avm'))\n"
        "assert not {'torch', 'aihwkit'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(finished.root)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
