"""The outputs of every stage, held against what they were when the protocol versions were last raised.

Whoever changes what a stage writes raises its number in ``analognas.stages.PROTOCOLS`` and writes the record anew:

    ANALOGNAS_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py

Two records are held. Floats are of kinds of processors and of versions, so digests of the outputs are kept for each
kind of machine on which that command was run (on another kind it adds one; entries of stages before the raised one
stay). And for every machine there are facts, which are the same everywhere (names, shapes, columns, what is counted),
and figures, which may differ by what processors make of rounding: those of a stage are made of recorded inputs, so that
nothing adds up over the stages.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analognas.evaluators.registry import load_evaluator
from analognas.files import file_digest, json_bytes, read_parquet, read_sealed, write_json
from analognas.hardware.analog import clean_state
from analognas.hardware.devices import Devices
from analognas.params import Params
from analognas.seeds import seed_torch
from analognas.stages import PROTOCOLS, STAGES, inputs, run_stage
from analognas.stages.recorded import load_dataset, package_versions
from analognas.training.columns import THIRTY_DAYS
from analognas.training.protocol import reproducible, train
from analognas.workspace import Paths

GOLDEN = Path(__file__).parent / "golden.json"
#: What the later stages are run on, so that their figures do not hang on what the stages before made of rounding.
INPUTS = Path(__file__).parent / "golden"
WRITE = bool(os.environ.get("ANALOGNAS_WRITE_GOLDEN"))

#: Largest difference of a figure on another kind of machine, and largest mean difference. Seen among torch's three
#: instruction sets (the lowest with oneDNN and numba held to SSE too) and three Pythons: accuracies of a network 4 and
#: their mean 0.6, of the winner 3 points (percent, after two epochs on a few hundred images, which is why there are the
#: first steps of a training: weights 1e-4, outputs of aged devices 6e-8); what is fitted and found, none at all.
TOLERANCES = {
    "characterize": {
        "acc_digital": (10.0, 2.0),
        "acc_1d": (10.0, 2.0),
        "first digital steps": (1e-4, 1e-5),
        "first analog steps": (2e-3, 1e-4),
        "outputs after a month": (1e-3, 1e-4),
    },
    "fit": {"acc_1d": (0.05, 0.01), "avm": (0.05, 0.01), "acc_1d_std": (0.05, 0.01)},
    "search": {"objective": (0.05, 0.05), "objective_of_random_search": (0.05, 0.05)},
    "train": {"acc_digital": (15.0, 15.0), "acc_hwa": (15.0, 15.0), "acc_1d": (15.0, 15.0)},
}
#: With another XGBoost or scikit-learn than the record's: XGBoost 3.2 and 3.4 differed by 0.9 and 0.4.
OTHER_LEARNER = {
    "fit": {"acc_1d": (2.5, 0.7), "avm": (1.5, 0.4), "acc_1d_std": (1.5, 0.4)},
    "search": {"objective": (3.0, 3.0), "objective_of_random_search": (3.0, 3.0)},
}


def learner() -> dict[str, str]:
    """Return the versions that decide what is fitted."""
    return {name: version(name) for name in ("scikit-learn", "xgboost")}


def machine() -> dict[str, Any]:
    """Return what floats depend on: kind of processor, what it was told to use of it, and versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    names = ("NPY_DISABLE_CPU_FEATURES", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "ONEDNN_MAX_CPU_ISA")
    switches = {name: os.environ[name] for name in names if os.environ.get(name)}
    return {
        "processor": told.get("model name", ""),
        "model": f"{told.get('cpu family')}/{told.get('model')}",  # in a virtual machine several have one name
        "capability": torch.backends.cpu.get_cpu_capability(),
        "switches": switches,
        **package_versions(),
    }


def known_outputs(recorded: dict[str, Any]) -> dict[str, str]:
    """Return the digests recorded on this kind of machine; what an entry does not say of its machine may be any."""
    here = machine()
    return next((one["outputs"] for one in recorded["machines"] if one["machine"].items() <= here.items()), {})


@pytest.fixture(scope="module")
def outputs(finished: Paths) -> dict[str, Any]:
    """Return a digest of what every stage wrote; of the sample, which has no floats, the ids."""
    ids = pd.read_parquet(finished.architectures)["id"].tolist()
    # Of a table and of what the search found the content counts, in the form in which the digests were once recorded:
    # as pandas writes a frame, and without the checksum.
    table = read_parquet(finished.surrogate, remedy="").to_parquet(index=False, engine="pyarrow", compression="zstd")
    best = json_bytes(read_sealed(finished.search / "best.json", remedy=""))
    return {
        "sample": ids,
        "characterize": hashlib.sha256(table).hexdigest(),
        "fit": file_digest(finished.evaluator),
        "search": hashlib.sha256(best).hexdigest(),
        "train": file_digest(finished.winner),
    }


@pytest.fixture(scope="module")
def recorded(finished: Paths, outputs: dict[str, Any]) -> dict[str, Any]:
    """Return what ``golden.json`` holds, without its figures; written anew before, if that is asked for."""
    content: dict[str, Any] = json.loads(GOLDEN.read_text())
    if not WRITE:
        return content
    raised = [stage for stage in STAGES if content["protocol"].get(stage) != PROTOCOLS[stage]]
    if raised or not INPUTS.exists():
        INPUTS.mkdir(exist_ok=True)
        shutil.copyfile(finished.surrogate, INPUTS / "surrogate.parquet")
        shutil.copyfile(finished.search / "best.json", INPUTS / "best.json")
        content.pop("figures", None)
    unchanged = STAGES[: STAGES.index(raised[0])] if raised else STAGES
    others = [
        {
            "machine": one["machine"],
            "outputs": {stage: one["outputs"][stage] for stage in unchanged if stage in one["outputs"]},
        }
        for one in content["machines"]
        if one["outputs"] is not known_outputs(content)
    ]
    here = {"machine": machine(), "outputs": {stage: outputs[stage] for stage in STAGES[1:]}}
    content |= {
        "protocol": dict(PROTOCOLS),
        "sample": outputs["sample"],
        "machines": [*(one for one in others if one["outputs"]), here],
    }
    write_json(GOLDEN, content)
    return content


@pytest.fixture(scope="module")
def figures(finished: Paths, recorded: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return facts and figures of every stage after the sample, here and as recorded."""
    paths = Paths(Path(shutil.copytree(finished.root, tmp_path_factory.mktemp("golden") / "workspace")))
    params = Params.load(paths.params)
    shutil.copyfile(INPUTS / "surrogate.parquet", paths.surrogate)
    for stage in ("fit", "search"):
        run_stage(stage, params, paths)
    found = {
        "characterize": _characterized(params, finished),
        "fit": _fitted(params, paths),
        "search": _searched(paths),
    }
    shutil.copyfile(INPUTS / "best.json", paths.search / "best.json")
    run_stage("train", params, paths)
    here = json.loads(json.dumps(found | {"train": _trained(paths)}))
    content = json.loads(GOLDEN.read_text())
    if WRITE and "figures" not in content:
        content |= {"figures": here, "learner": learner()}
        write_json(GOLDEN, content)
    return {"here": here, "recorded": content["figures"], "learner": content["learner"]}


def _characterized(params: Params, paths: Paths) -> dict[str, Any]:
    table = pd.read_parquet(paths.surrogate)
    accuracies = {
        name: [None if np.isnan(value) else value for value in table[name]]  # a network that diverges has none
        for name in ("acc_digital", "acc_1d")
    }
    return {
        "facts": {
            "columns": {str(name): str(dtype) for name, dtype in table.dtypes.items()},
            "counted": table[["id", "params", "tiles", "role", "protocol", "hardware"]].to_dict("list"),
        },
        "figures": accuracies | _first_steps(params, paths),
    }


def _first_steps(params: Params, paths: Paths) -> dict[str, list[float]]:
    """Return weights after three steps of each training, and outputs of the devices a month after programming."""
    dataset = load_dataset(params, paths)
    few = replace(dataset.train, x=dataset.train.x[:192], y=dataset.train.y[:192])
    protocol = params.characterize.model_copy(update={"epochs": 1, "hwa_epochs": 1})
    architecture = inputs.architectures(params, paths)[0]
    trained = train(architecture, replace(dataset, train=few), params.hardware, protocol, seed=0)
    weights, clean = trained.digital.state_dict(), clean_state(trained.analog)
    with reproducible("cpu"), torch.no_grad():
        seed_torch(0, "golden")
        devices = Devices(trained.analog)
        devices.program()
        devices.drift(THIRTY_DAYS)
        outputs = trained.analog(dataset.tensors("validation")[0][:8])
    return {
        "first digital steps": [value for tensor in weights.values() for value in tensor.flatten()[:3].tolist()],
        "first analog steps": [value for tensor in clean.values() for value in tensor.flatten()[:3].tolist()],
        "outputs after a month": outputs.flatten().tolist(),
    }


def _fitted(params: Params, paths: Paths) -> dict[str, Any]:
    evaluator = load_evaluator(paths.evaluator, params.fit.evaluator)
    predicted = evaluator.predict(inputs.architectures(params, paths))
    files = sorted(str(path.relative_to(paths.evaluator)) for path in paths.evaluator.rglob("*") if path.is_file())
    return {
        "facts": {"files": files, "columns": list(predicted), "ids": predicted["id"].tolist()},
        "figures": {name: predicted[name].tolist() for name in TOLERANCES["fit"]},
    }


def _searched(paths: Paths) -> dict[str, Any]:
    best = read_sealed(paths.search / "best.json", remedy="")
    keys = sorted({key for candidate in best["candidates"] for key in candidate})
    tables = {name: list(pd.read_parquet(paths.search / name)) for name in ("history.parquet", "pareto.parquet")}
    asked = len(pd.read_parquet(paths.search / "history.parquet"))
    return {
        "facts": {"keys": sorted(best), "candidate": keys, "tables": tables, "asked": asked},
        "figures": {name: [best[name]] for name in TOLERANCES["search"]},
    }


def _trained(paths: Paths) -> dict[str, Any]:
    from safetensors.torch import load_file

    content = json.loads((paths.winner / "winner.json").read_text())
    tensors = {
        name: f"{tensor.dtype} {tuple(tensor.shape)}"
        for name, tensor in load_file(paths.winner / "model.safetensors").items()
    }
    row = content["row"]
    known = ("id", "space", "genes", "params", "tiles", "repeats", "status")
    facts = {"tensors": tensors, "keys": sorted(content), "row": sorted(row), **{name: row[name] for name in known}}
    hardware = file_digest(paths.winner / "hardware.json")
    return {
        "facts": {**facts, "protocol": content["protocol"], "hardware": hardware},
        "figures": {name: [row[name]] for name in TOLERANCES["train"]},
    }


REMEDY = "raise its number in analognas.stages.PROTOCOLS and write the record anew (see the top of this file)"


def test_it_was_written_for_these_protocols(recorded: dict[str, Any]):
    assert recorded["protocol"] == PROTOCOLS


def test_the_sample_is_what_it_was(recorded: dict[str, Any], outputs: dict[str, Any]):
    assert outputs["sample"] == recorded["sample"], f"the outputs of sample changed: {REMEDY}"


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_stage_writes_the_same_facts_everywhere(stage: str, figures: dict[str, Any]):
    found, expected = figures["here"][stage]["facts"], figures["recorded"][stage]["facts"]
    assert found == expected, f"the outputs of {stage} changed: {REMEDY}"


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_stage_comes_to_the_same_figures_everywhere(stage: str, figures: dict[str, Any]):
    found, expected = figures["here"][stage]["figures"], figures["recorded"][stage]["figures"]
    same = figures["learner"] == learner()
    for name, (largest, mean) in (TOLERANCES if same or stage not in OTHER_LEARNER else OTHER_LEARNER)[stage].items():
        here, then = (np.array(values, dtype=float) for values in (found[name], expected[name]))
        assert (np.isnan(here) != np.isnan(then)).sum() <= 1  # near the edge, rounding decides whether one diverges
        difference = (here - then)[~np.isnan(here - then)]
        message = f"{name} of {stage} differs by more than processors make it: is it meant to? then {REMEDY}"
        assert np.abs(difference).max() <= largest, message
        assert abs(difference.mean()) <= mean, message


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_stage_writes_the_same_bytes_on_a_known_kind_of_machine(
    stage: str, recorded: dict[str, Any], outputs: dict[str, Any]
):
    known = known_outputs(recorded)
    if stage not in known:
        pytest.skip("no bytes are known of this kind of processor with these versions: only facts and figures are held")
    assert outputs[stage] == known[stage], f"the outputs of {stage} changed: {REMEDY}"
