from importlib import import_module
from pathlib import Path

from ruamel.yaml import YAML

from analognas.stages.protocols import PROTOCOLS, RECORD, STAGES

DECLARED = YAML(typ="safe").load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]


def test_the_stages_are_those_of_dvc_yaml_in_its_order():
    assert tuple(DECLARED) == (RECORD, *STAGES)


def test_a_later_stage_reads_what_earlier_ones_wrote_and_none_reads_ahead():
    written: set[str] = set()
    for name in STAGES:
        assert set(DECLARED[name].get("deps", [])) <= written | {"data/rounds"}, name
        written |= {*DECLARED[name]["outs"], f"data/metrics/{name}.json"}


def test_every_stage_can_be_run_and_has_a_version_that_dvc_looks_at():
    for name in STAGES:
        assert callable(import_module(f"analognas.stages.{name}").run)
        assert isinstance(PROTOCOLS[name], int)
        (looked_at,) = [
            one["data/environment.json"] for one in DECLARED[name]["params"] if "data/environment.json" in one
        ]
        assert f"protocol.{name}" in looked_at
