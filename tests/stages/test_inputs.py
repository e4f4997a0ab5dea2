import json
import pickle
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, MismatchError, SpaceError
from analognas.files import write_parquet
from analognas.params import CharacterizeParams, HardwareParams, Params
from analognas.params.file import override
from analognas.search_spaces import Architecture
from analognas.setup.preparing import prepare
from analognas.stages import PROTOCOLS, identity, inputs, rows
from analognas.workspace import Paths

MINE = {"name": "mine", "input_shape": [3, 16, 16], "classes": 4}


def some(paths: Paths, n: int) -> list[Architecture]:
    return inputs.space(Params.load(paths.params), paths).sample(n)


def write_sample(paths: Paths, architectures: list[Architecture]) -> None:
    write_parquet(paths.architectures, pd.DataFrame({"genes": [one.genes.to_json() for one in architectures]}))


def write_best(paths: Paths, architectures: list[Architecture]) -> None:
    paths.search.mkdir()
    best = {"candidates": [{"genes": dict(one.genes), "limits": {"status": "held"}} for one in architectures]}
    (paths.search / "best.json").write_text(json.dumps(best))


def test_the_space_is_that_of_the_parameters_for_the_dataset():
    given = {"max_params": 5_000, "ranges": {"M": [1, 2]}}
    built = inputs.space_of(Params.validated({"space": given}), MINE)
    assert (built.input_shape, built.classes, built.max_params) == ((3, 16, 16), 4, 5_000)
    assert {one.genes["M"] for one in built.sample(20)} == {1, 2}
    with pytest.raises(SpaceError, match="smallest"):
        inputs.space_of(Params.validated({"space": {"max_params": 10}}), MINE)


def test_sample_and_rounds_come_in_order_and_without_repetition(workspace: Paths):
    a, b, c, d, unfinished = some(workspace, 5)
    write_sample(workspace, [b, a])
    for name, added in {"002": [a, c], "001": [d, b], "draft": [unfinished]}.items():
        content = {"architectures": [{"genes": dict(one.genes)} for one in added]}
        (workspace.rounds / f"{name}.json").write_text(json.dumps(content))
    assert inputs.architectures(Params.load(workspace.params), workspace) == [b, a, d, c]


def test_a_sample_that_is_missing_names_the_stage_that_writes_it(workspace: Paths):
    with pytest.raises(CorruptFileError, match=r"architectures\.parquet is missing: run `analognas stage sample`"):
        inputs.architectures(Params.load(workspace.params), workspace)


def test_candidates_keep_their_order_and_have_to_be_in_the_space(workspace: Paths):
    candidates = sorted(some(workspace, 5), key=lambda one: one.id)
    write_best(workspace, candidates)
    found = inputs.candidates(Params.load(workspace.params), workspace)
    assert found == [inputs.Candidate(one, "held") for one in candidates]
    narrowed = override(workspace.params, ["space.ranges={M: [3, 3]}"])
    with pytest.raises(CorruptFileError, match=r"best\.json does not fit this workspace .*analognas stage search"):
        inputs.candidates(narrowed, workspace)


@pytest.mark.parametrize(
    ("key", "same"), [("digest", False), ("split_digest", False), ("augment", False), ("licence", True)]
)
def test_the_id_of_a_dataset_is_its_content_its_split_and_its_augmentation(workspace: Paths, key: str, same: bool):
    before = identity.dataset_id(workspace)
    recorded = json.loads(workspace.dataset.read_text())
    workspace.dataset.write_text(json.dumps(recorded | {key: "other"}))
    assert before.startswith("digits-")
    assert (identity.dataset_id(workspace) == before) is same


def test_without_augmentation_ids_and_keys_are_what_they_were_before_there_was_any(workspace: Paths):
    recorded = json.loads(workspace.dataset.read_text())
    assert recorded.pop("augment") == []
    now = identity.dataset_id(workspace)
    workspace.dataset.write_text(json.dumps(recorded))
    assert identity.dataset_id(workspace) == now
    spec = identity.DatasetSpec((), "d", "s")
    assert spec.identity("validation") == {"digest": "d", "split": "s", "part": "validation"}
    assert replace(spec, augment=("crop",)).identity("test") == {
        "digest": "d", "split": "s", "part": "test", "augment": ["crop"],
    }  # fmt: skip


def test_ids_of_hardware_and_protocol_differ_where_results_do(monkeypatch: pytest.MonkeyPatch):
    changes: list[dict[str, Any]] = [
        *({name: 99} for name in ("epochs", "hwa_epochs", "batch_size", "repeats")),
        *({name: 0.123} for name in ("learning_rate", "hwa_learning_rate", "weight_decay")),
        {"times": (1, 86_400, 2_592_000)},
        {"source": "analognas-bench"},
    ]
    protocols = [CharacterizeParams(), *(CharacterizeParams(**change) for change in changes)]
    ids = [identity.protocol_id(protocol) for protocol in protocols]
    assert (
        ids[0] == identity.protocol_id(CharacterizeParams()) == identity.protocol_id(CharacterizeParams(replicates=0))
    )
    monkeypatch.setitem(PROTOCOLS, "characterize", 99)
    assert len({*ids, identity.protocol_id(CharacterizeParams())}) == len(CharacterizeParams.model_fields) + 1
    chips = [identity.hardware_id(HardwareParams(tile_size=size)) for size in (64, 64, 128)]
    assert chips[0] == chips[1] != chips[2]


def test_a_worker_gets_the_dataset_of_the_workspace_or_refuses(workspace: Paths):
    spec = identity.DatasetSpec.of(Params.load(workspace.params), workspace)
    dataset = pickle.loads(pickle.dumps(spec)).load()
    assert dataset.digest == json.loads(workspace.dataset.read_text())["digest"]
    assert spec.load() is dataset  # read once per process
    workspace.params.write_text(workspace.params.read_text().replace("augment: null", "augment: [noise, crop]"))
    params = Params.load(workspace.params)
    with pytest.raises(MismatchError, match=r"records augment \[\], the dataset has \['noise', 'crop'\]"):
        identity.DatasetSpec.of(params, workspace)
    prepare(workspace)
    augmented = pickle.loads(pickle.dumps(identity.DatasetSpec.of(params, workspace)))
    assert augmented.augment == augmented.load().augment == ("noise", "crop")
    for changed in (replace(spec, digest="0" * 64), replace(spec, split_digest="0" * 64)):
        with pytest.raises(MismatchError, match="digits changed"):
            changed.load()


def test_only_measured_rows_are_usable():
    results = pd.DataFrame({"id": ["a", "b", "c", "d"], "status": ["ok", "diverged", "too_large", "ok"]})
    assert rows.usable(results)["id"].tolist() == ["a", "d"]


@pytest.mark.parametrize(
    "content",
    ["[]", "3", "{}", '{"architectures": 3}', '{"architectures": [{}]}', '{"architectures": [{"genes": null}]}',
     '{"architectures": [{"genes": {"M": 99}}]}'],
)  # fmt: skip
def test_a_round_that_is_none_is_named(workspace: Paths, content: str):
    write_sample(workspace, some(workspace, 1))
    (workspace.rounds / "007.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"007\.json .*: restore it from git\.$"):
        inputs.architectures(Params.load(workspace.params), workspace)


@pytest.mark.parametrize("column", ["other", "genes"])
def test_a_sample_that_is_none_is_named(workspace: Paths, column: str):
    write_parquet(workspace.architectures, pd.DataFrame({column: ["no genes"]}))
    with pytest.raises(CorruptFileError, match=r"architectures\.parquet holds no architectures .*stage sample"):
        inputs.architectures(Params.load(workspace.params), workspace)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"name": "digits"}'])
def test_a_description_of_no_dataset_is_named(workspace: Paths, content: str):
    workspace.dataset.write_text(content)
    with pytest.raises(CorruptFileError, match=r"dataset\.json is damaged"):
        inputs.space(Params.load(workspace.params), workspace)


def test_a_search_without_candidates_is_damaged(workspace: Paths):
    write_best(workspace, [])
    with pytest.raises(CorruptFileError, match="no candidates"):
        inputs.candidates(Params.load(workspace.params), workspace)
