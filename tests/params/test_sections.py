import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from analognas.errors import ParamsError
from analognas.params import HardwareParams, Params, known_keys
from analognas.params.file import override

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def test_the_file_of_the_repository_says_what_the_defaults_are():
    assert Params.load(ROOT / "params.yaml") == Params()


def test_the_file_of_the_repository_shows_every_key():
    import yaml

    shown = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert {f"{section}.{key}" for section, keys in shown.items() for key in keys} == set(known_keys())


def test_params_are_frozen():
    with pytest.raises(ValidationError):
        Params().base.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "search: {populaton_size: 3}",
            "unknown key search.populaton_size; did you mean search.population_size?",
        ),
        ("search: {t_avm: 2}", "unknown key search.t_avm; did you mean search.T_AVM?"),
        ("serch: {k: 3}", "unknown key serch; did you mean search?"),
        ("search: {population_size: 1}", "search.population_size is 1: "),
        ("base: {threads: 2}", "base.threads is 2: "),
        ("base: {seed: .nan}", "base.seed is nan: "),
        ("search: 3", "section search: "),
        ("base: {seed: true}", "base.seed is true: a number is needed, not true or false."),
        ("characterize: {times: [true, 86400, 2592000]}", "a number is needed, not true or false."),
        ("search: {max_nb_param: 20000}", "search.max_nb_param is 20,000, but the space has no architecture above"),
        ("run: {experiment: 8}", "run.experiment is 8: text is needed, so put it in quotes."),
        ("run: {experiment: 2026-01-01}", "run.experiment is the date 2026-01-01 in YAML: put it in quotes."),
        ("dataset: {path: 2026-01-01 10:00:00}", "dataset.path is the date 2026-01-01 10:00:00 in YAML: put it in"),
        ("- a", "must hold sections"),
        ("a: [", "no valid YAML in line"),
        ("characterize: {times: [1, 2]}", "needs 86400, 2592000 (seconds)"),
        ("characterize: {times: [1, 86400, 2592000, 60]}", "must be in increasing order"),
        ("space: {max_params: lots}", "space.max_params is 'lots': "),
        (
            "search: {constraints: {latency: 3}}",
            "search.constraints is {'latency': 3}: there is no limit on latency; did you",
        ),
        ("search: {constraints: {tiles: 0}}", "the limit on tiles is 0, and must be above 0"),
        ("search: {constraints: {tiles: true}}", "search.constraints.tiles is true: a number is needed"),
        ("search: {constraints: 3}", "search.constraints is 3: keys with values are needed"),
        ("search: {objectives: [acc_1d, energy]}", "there is no objective energy; did you mean 'energy_uj'?"),
        ("search: {objectives: [acc_1d]}", "give two or more of acc_1d, avm, acc_1d_std, params, tiles"),
        ("run: {runner: threads}", "run.runner is 'threads': aihwkit draws from one generator of the process"),
        ("run: {address: somewhere}", "run.address is 'somewhere': must name host and port"),
        ("run: {address: 'tcp://host:none'}", "run.address is 'tcp://host:none': must name host and port"),
        ("run: {address: 'tcp://me:secret@host:1'}", "must name host and port"),
    ],
)
def test_bad_params_are_refused_in_one_sentence(tmp_path: Path, text: str, message: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=re.escape(message)) as caught:
        Params.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_remedy(tmp_path: Path):
    with pytest.raises(ParamsError, match="analognas init"):
        Params.load(tmp_path / "params.yaml")


def test_hardware_may_be_given_by_name(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("hardware: mychip:config")
    assert Params.load(path).hardware.rpu_config == "mychip:config"
    assert override(path, ["hardware.tile_size=64"]).hardware.rpu_config == "mychip:config"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("null", None), ("64", 64), ("[64, 64]", 64), ("[128, 64]", (128, 64)), ("[512, 0]", (512, 0)), ("[0,0]", (0, 0))],
)
def test_tiles_are_one_number_or_rows_and_columns(params_file: Path, given: str, expected: Any):
    params = override(params_file, [f"hardware.tile_size={given}"])
    assert params.hardware.tile_size == expected == Params.load(params_file).hardware.tile_size
    plain = json.loads(json.dumps(params.values("hardware")))
    assert HardwareParams.model_validate(plain) == params.hardware
    if expected is not None:
        assert str(params.hardware.tile_shape) == " x ".join(
            str(side or "any") for side in (expected if isinstance(expected, tuple) else (expected, expected))
        )


@pytest.mark.parametrize(
    "given", ["1", "0", "4097", "[64, 7]", "[64]", "[64, 64, 64]", "true", "64.5", "wide", "[a, 64]"]
)
def test_what_is_no_tile_is_refused(params_file: Path, given: str):
    with pytest.raises(
        ParamsError, match=r"hardware.tile_size is .*: give one number of 8 to 4096 .*or \[rows, columns\]"
    ):
        override(params_file, [f"hardware.tile_size={given}"])


def test_overrides_are_written_and_comments_kept(params_file: Path):
    before = params_file.read_text().splitlines()
    params = override(params_file, ["search.population_size=40", "space.max_params=50k", "dataset.name=cifar10"])
    assert (params.search.population_size, params.space.max_params, params.dataset.name) == (
        40,
        50_000,
        "cifar10",
    )
    assert Params.load(params_file) == params
    changed = [line for line in params_file.read_text().splitlines() if line not in before]
    assert len(changed) == 3
    assert "# most trainable parameters" in "\n".join(changed)


def test_a_key_within_a_value_is_written_beside_the_others(params_file: Path):
    override(params_file, ["search.constraints.tiles=12"])
    params = override(params_file, ["search.constraints.energy_uj=5.5", "space.ranges.M=[1, 2]"])
    assert params.search.constraints == {"tiles": 12, "energy_uj": 5.5}
    assert params.space.ranges == {"M": [1, 2]}
    assert Params.load(params_file) == params


def test_no_override_leaves_the_bytes(params_file: Path):
    before = params_file.read_bytes()
    override(params_file, [])
    assert params_file.read_bytes() == before


@pytest.mark.parametrize(
    "assignment",
    [
        "search.k",
        "k=1",
        "search.populaton_size=3",
        "search.population_size=one",
        "nothing.x=1",
        "search.k=[",
        "=1",
    ],
)
def test_a_bad_override_touches_nothing(params_file: Path, assignment: str):
    before = params_file.read_bytes()
    with pytest.raises(ParamsError):
        override(params_file, ["search.k=2", assignment])
    assert params_file.read_bytes() == before
    assert [path.name for path in params_file.parent.iterdir()] == ["params.yaml"]
