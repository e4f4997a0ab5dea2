"""Spaces, datasets, chips, evaluators and optimizers of a package that lives elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.datasets import load, names
from analognas.errors import DatasetError, HardwareError, InputError, SearchError, SpaceError
from analognas.evaluators.registry import evaluator_class, load_evaluator
from analognas.files import read_sealed
from analognas.hardware.recorded import from_record, record
from analognas.hardware.rpu_config import rpu_config
from analognas.hardware.tile_shape import TileShape
from analognas.params import HardwareParams, Params
from analognas.params.file import override
from analognas.params.overrides import parse
from analognas.plugins import GROUPS, Plugin, imported, left_behind, plugins, target
from analognas.search_algorithms.registry import optimizer_class
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.family import family
from analognas.setup.preparing import prepare
from analognas.workspace import Paths

MODULE = '''
"""A package outside of analognas: one of each."""

import numpy as np

from analognas.datasets.base import assemble
from analognas.datasets.splits import stratified_order
from analognas.evaluators.ensemble import GaussianProcessEvaluator
from analognas.hardware.presets import Preset, analognas_bench
from analognas.search_algorithms.ea import EvolutionaryAlgorithm
from analognas.search_spaces.resnet import ResNet


class Narrow(ResNet):
    name = "narrow"


def stripes(options):
    """Horizontal, vertical and diagonal stripes, told apart by hardly anything."""
    rng = np.random.default_rng(options.split_seed)
    y = np.arange(240) % 3
    x = rng.integers(0, 120, (240, 1, 8, 8)).astype(np.uint8)
    at = np.arange(8)
    for image, label in zip(x, y):
        if label == 0:
            image[0, ::2] += 120
        elif label == 1:
            image[0, :, ::2] += 120
        else:
            image[0, at, at] += 120
    order = stratified_order(y, seed=options.split_seed, purpose="stripes")
    split = {"train": order[:144], "validation": order[144:192], "test": order[192:]}
    return assemble("stripes", x, y, split, class_names=("flat", "upright", "slanted"), licence="CC0")


def quiet():
    config = analognas_bench()
    config.forward.out_noise = 0.01
    return config


QUIET = Preset(quiet, 64, "a data sheet", "hardly any noise at its converters")


def wide():
    config = quiet()
    config.mapping.max_output_size = 0
    return config


WIDE = Preset(wide, None, "a data sheet", "as many columns as there are")


class Smooth(GaussianProcessEvaluator):
    """A Gaussian process by another name."""


class Patient(EvolutionaryAlgorithm):
    """An evolutionary search by another name."""
'''

ENTRY_POINTS = """
[analognas.spaces]
narrow = {module}:Narrow

[analognas.datasets]
stripes = {module}:stripes

[analognas.chips]
quiet = {module}:QUIET
wide = {module}:WIDE

[analognas.evaluators]
smooth = {module}:Smooth

[analognas.optimizers]
patient = {module}:Patient
"""


def distribution(folder: Path, name: str, entry_points: str, version: str = "0.1") -> None:
    """Write what an installer leaves of a package: its metadata."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a folder on Python's path in which a package that adds one of each is installed."""
    folder = tmp_path / "site"
    distribution(folder, "tiny-things", ENTRY_POINTS.format(module="tiny_things"))
    (folder / "tiny_things.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    family.cache_clear()
    yield folder
    family.cache_clear()
    sys.modules.pop("tiny_things", None)


@pytest.mark.parametrize("kind", GROUPS)
def test_nothing_is_added_by_nobody(kind: Any) -> None:
    assert plugins(kind) == []
    assert target(kind, "narrow") is None
    assert target(kind, "somewhere:Else") == "somewhere:Else"


def test_what_a_package_adds_is_known_without_importing_it(site: Path) -> None:
    assert plugins("space") == [Plugin("narrow", "tiny_things:Narrow", "tiny-things 0.1")]
    assert target("optimizer", "patient") == "tiny_things:Patient"
    assert names()[-1] == "stripes"
    assert "tiny_things" not in sys.modules


def test_each_is_found_by_its_name(site: Path) -> None:
    space = ConfigSpace("digits", family="narrow", max_params=3000)
    assert space.name == "narrow-digits"
    assert space.sample(2)[0].build() is not None
    assert load("Stripes").class_names == ("flat", "upright", "slanted")
    assert evaluator_class("smooth").__name__ == "Smooth"
    assert optimizer_class("patient").__name__ == "Patient"


def test_a_chip_brings_its_tiles_and_may_be_varied_like_others(site: Path) -> None:
    chip = HardwareParams(rpu_config="quiet", adc_bits=6)
    assert "tiny_things" in sys.modules
    assert (chip.tile_size, chip.tile_shape) == (None, TileShape(64, 64))
    assert HardwareParams(rpu_config="tiny_things:quiet").tile_shape == TileShape(256, 256)  # that of `analognas_bench`
    config = rpu_config(chip)
    assert (config.forward.out_noise, config.forward.out_res) == (0.01, 1 / 62)
    assert config.mapping.max_input_size == 64
    assert HardwareParams(rpu_config="quiet", tile_size=32).tile_size == 32
    assert from_record(record(chip))[0] == chip


def test_a_chip_that_is_none_is_refused(site: Path) -> None:
    entry = "[analognas.chips]\nloud = tiny_things:quiet\n"
    distribution(site, "loud-things", entry)
    with pytest.raises(HardwareError, match=r"'loud' is a function: let its entry point name an .*Preset"):
        HardwareParams(rpu_config="loud")
    with pytest.raises(HardwareError, match=r"'tiny_things:QUIET' is no callable but a Preset: name the function"):
        rpu_config(HardwareParams(rpu_config="tiny_things:QUIET"))
    with pytest.raises(HardwareError, match=r"unknown hardware\.rpu_config 'silent': did you mean '\w+'\? A chip"):
        HardwareParams(rpu_config="silent")


def test_a_mistyped_name_is_told_the_nearest_one(site: Path) -> None:
    with pytest.raises(SearchError, match="did you mean 'patient'"):
        optimizer_class("patint")
    with pytest.raises(InputError, match="did you mean 'smooth'"):
        evaluator_class("smoth")
    with pytest.raises(DatasetError, match="did you mean 'stripes'"):
        load("stripe")


def test_the_librarys_own_names_cannot_be_taken(site: Path) -> None:
    distribution(site, "grabbing", ENTRY_POINTS.format(module="nowhere").replace("narrow", "resnet"))
    assert family("resnet").name == "resnet"
    distribution(site, "clutching", "[analognas.chips]\nreram-cmo = nowhere:CHIP\n")
    assert HardwareParams(rpu_config="reram-cmo").tile_shape == TileShape(256, 256)


def test_a_name_that_two_packages_add_is_refused_where_it_is_used(site: Path) -> None:
    distribution(site, "rival", ENTRY_POINTS.format(module="rival"))
    for use in (
        lambda: ConfigSpace("digits", family="narrow"),
        lambda: evaluator_class("smooth"),
        lambda: optimizer_class("patient"),
        lambda: load("stripes"),
        lambda: HardwareParams(rpu_config="quiet"),
    ):
        with pytest.raises(InputError, match=r"rival 0.1 and tiny-things 0.1 both add"):
            use()
    assert ConfigSpace("digits").name == "resnet-digits"


def test_a_mistyped_entry_point_harms_nobody_else(site: Path) -> None:
    distribution(site, "mistyped", "[analognas.optimizers]\nhasty = mis-typed:Class [fast]\n")
    assert [one.name for one in plugins("optimizer")] == ["hasty", "patient"]
    assert optimizer_class("patient").__name__ == "Patient"
    with pytest.raises(SearchError, match="'hasty' cannot be imported"):
        optimizer_class("hasty")


def test_a_package_that_cannot_be_imported_is_one_sentence(site: Path) -> None:
    (site / "tiny_things.py").write_text("1 / 0")
    for use, error in (
        (lambda: ConfigSpace("digits", family="narrow"), SpaceError),
        (lambda: evaluator_class("smooth"), InputError),
        (lambda: optimizer_class("patient"), SearchError),
        (lambda: load("stripes"), DatasetError),
        (lambda: HardwareParams(rpu_config="quiet"), HardwareError),
    ):
        with pytest.raises(error, match=r"cannot be imported .*division by zero"):
            use()


def test_a_module_in_the_current_folder_needs_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lying_here.py").write_text("class Thing:\n    part = 3\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert imported("lying_here:Thing.part") == 3
    assert sys.path == before
    sys.modules.pop("lying_here")


def test_a_module_in_the_workspace_is_found_from_any_folder_below_it(
    workspace: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "lying_above.py").write_text("class Thing:\n    part = 3\n")
    (workspace.root / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(workspace.root / "deep" / "down")
    before = list(sys.path)
    assert imported("lying_above:Thing.part") == 3
    assert sys.path == before
    sys.modules.pop("lying_above")


def test_a_module_that_a_new_workspace_would_not_find_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "lying_here.py"
    module.write_text("x = 1\n")
    assert left_behind("lying_here:x", tmp_path / "mine") == module
    assert left_behind("lying_here:x", tmp_path) is None
    assert left_behind("json:dumps", tmp_path / "mine") is None
    monkeypatch.syspath_prepend(str(tmp_path))
    assert left_behind("lying_here:x", tmp_path / "mine") is None
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "lying_here.py").write_text("x = 1\n")
    assert left_behind("lying_here:x", tmp_path / "mine") is None


def test_what_is_added_is_listed(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spaces = json.loads(CliRunner().invoke(main, ["spaces", "--json"]).stdout)
    assert "narrow-digits" in {one["name"] for one in spaces}
    assert "narrow (tiny-things 0.1)" in CliRunner().invoke(main, ["spaces"]).stdout
    rows = {one["name"]: one for one in json.loads(CliRunner().invoke(main, ["datasets", "--json"]).stdout)}
    assert rows["stripes"]["source"] == "tiny-things 0.1"
    assert rows["stripes"]["available"]
    chips = {one["name"]: one for one in json.loads(CliRunner().invoke(main, ["hardware", "--json"]).stdout)}
    assert (chips["quiet"]["tile_size"], chips["quiet"]["package"]) == (64, "tiny-things 0.1")
    assert "quiet (tiny-things 0.1): tiles of 64 x 64, fast layers" in CliRunner().invoke(main, ["hardware"]).stdout
    assert chips["wide"]["tile_size"] == [256, 0]
    assert "wide (tiny-things 0.1): tiles of 256 x any, fast layers" in CliRunner().invoke(main, ["hardware"]).stdout


@pytest.mark.parametrize("command", ["spaces", "hardware", "datasets"])
def test_a_broken_package_does_not_hide_the_others(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    broken = ENTRY_POINTS.format(module="broken_things")
    broken = broken.replace("wide = broken_things:WIDE\n", "")
    for name in ("narrow", "stripes", "quiet", "smooth", "patient"):
        broken = broken.replace(f"{name} =", f"broken-{name} =")
    distribution(site, "broken-things", broken, "0.2")
    (site / "broken_things.py").write_text("1 / 0")
    asked = CliRunner().invoke(main, [command, "--json"])
    assert asked.exit_code == 0, asked.output
    rows = {one["name"]: one for one in json.loads(asked.stdout)}
    name, sound = {
        "spaces": ("broken-narrow", "narrow-digits"),
        "hardware": ("broken-quiet", "quiet"),
        "datasets": ("broken-stripes", "stripes"),
    }[command]
    assert "division by zero" in rows[name]["error"]
    assert {one for one, row in rows.items() if "error" in row} == {name}
    assert sound in rows
    shown = CliRunner().invoke(main, [command])
    assert shown.exit_code == 0
    assert "broken-things 0.2" in shown.stdout or command == "datasets"
    assert "division by zero" in " ".join(shown.stdout.split())  # a table's cell may take several lines


def test_a_broken_package_is_one_sentence_where_it_is_named(
    site: Path, workspace: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "tiny_things.py").write_text("1 / 0")
    monkeypatch.chdir(workspace.root)
    before = workspace.params.read_bytes()
    for given in ("space.name=narrow", "dataset.name=stripes", "hardware.rpu_config=quiet"):
        refused = CliRunner().invoke(main, ["run", "--set", given])
        assert refused.exit_code == 2, given
        assert refused.stderr.count("\n") == 1
        assert "division by zero" in refused.stderr
    assert workspace.params.read_bytes() == before


def test_the_page_is_true(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(analognas\.\w+)` \|", page)) == set(GROUPS.values())
    (package,) = re.findall(r"^```toml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    added = tomllib.loads(package)["project"]["entry-points"]
    assert set(added) == set(GROUPS.values())
    module, chip = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "stripes.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    first, second = load("stripes:stripes"), load("stripes:stripes")
    assert (first.classes, len(first.train), len(first.test)) == (2, 240, 80)
    assert (first.digest, first.split_digest) == (second.digest, second.split_digest)
    sys.modules.pop("stripes")
    (tmp_path / "chips.py").write_text(chip)
    assert imported("chips:CHIP").tile_size == 128
    assert rpu_config(HardwareParams(rpu_config="chips:chip")).noise_model.g_max == 20.0
    sys.modules.pop("chips")


@pytest.mark.slow
def test_a_workspace_of_nothing_but_plugins_runs(site: Path, workspace: Paths) -> None:
    paths = workspace
    added = ["space.name=narrow", "dataset.name=stripes", "hardware.rpu_config=quiet"]
    added += ["fit.evaluator=smooth", "search.optimizer=patient"]
    prepare(paths, parse(added))
    # In a process of its own, whose workers are others: there the names are all that is known.
    code = (
        "from analognas.params import Params; from analognas.stages import STAGES, run_stage\n"
        "from analognas.workspace import Paths\n"
        "if __name__ == '__main__':\n"
        "    paths = Paths.find(); params = Params.load(paths.params)\n"
        "    for stage in STAGES: run_stage(stage, params, paths)\n"
    )
    (paths.root / "all.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(site)])}
    command = [sys.executable, "all.py"]
    done = subprocess.run(command, cwd=paths.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert type(load_evaluator(paths.evaluator, "smooth")).__name__ == "Smooth"
    best = read_sealed(paths.search / "best.json", remedy="")["candidates"][0]
    assert (best["space"]["family"], best["space"]["classes"]) == ("narrow", 3)
    chip = json.loads((paths.winner / "hardware.json").read_text())
    assert (chip["rpu_config"], chip["tile_size"]) == ("quiet", 64)
    assert "winner" in read_sealed(paths.metrics("train"), remedy="")


def test_an_unknown_evaluator_or_chip_is_refused_before_anything_runs(workspace: Paths) -> None:
    before = workspace.params.read_bytes()
    with pytest.raises(InputError, match="did you mean 'xgboost'"):
        prepare(workspace, parse(["fit.evaluator=xgbost"]))
    with pytest.raises(HardwareError, match="did you mean 'analognas-bench'"):
        prepare(workspace, parse(["hardware.rpu_config=analognas-bank"]))
    with pytest.raises(HardwareError, match="g_max is 5"):
        prepare(workspace, parse(["hardware.rpu_config=reram-cmo", "hardware.g_max=5"]))
    assert workspace.params.read_bytes() == before
    assert override(workspace.params, []) == Params.load(workspace.params)
