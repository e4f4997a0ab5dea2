import json

from analognas import report
from analognas.hardware.chips import ChipDescription
from analognas.hardware.cost import cost
from analognas.hardware.params import ToldHardware
from analognas.params import Params
from analognas.params.file import override
from analognas.report.figures import RunCosts
from analognas.search_spaces import Architecture
from analognas.training.columns import ArchitectureFigures
from analognas.workspace import Paths


def test_what_is_collected_has_the_keys_of_its_types(finished: Paths):
    figures = report.collect(finished)
    assert set(figures) == set(report.RunFigures.__annotations__)
    named = set(ArchitectureFigures.__annotations__)
    assert named <= set(figures["winner"])
    assert named - {"acc_1d_validation"} <= set(figures["baseline"])
    assert set(figures["cost"]) == set(RunCosts.__annotations__) - {"problem"}
    assert set(figures["cost"]["chip"]) == set(ChipDescription.__annotations__)
    assert set(figures["hardware"]) <= set(ToldHardware.__annotations__)


def test_the_costs_of_a_finished_run_follow_from_its_architecture(finished_copy: Paths, text):
    told = report.collect(finished_copy)
    params = Params.load(finished_copy.params)
    chip = params.cost.of(params.hardware)
    winner = Architecture.from_dict(json.loads((finished_copy.winner / "architecture.json").read_text()))
    assert told["cost"]["winner"] == cost(winner, chip)
    assert told["cost"]["winner"]["tiles"] == told["winner"]["tiles"]
    assert told["cost"]["baseline"]["tiles"] == told["baseline"]["tiles"]
    override(finished_copy.params, ["cost.constants.vector_ns=7"])
    assert report.collect(finished_copy)["cost"]["chip"]["name"].endswith("with vector_ns 7")
    override(finished_copy.params, ["cost.chip=nowhere:chip"])
    problem = text(report.collect(finished_copy))
    assert "Latency and energy cannot be told: chip 'nowhere:chip' cannot be imported" in problem
