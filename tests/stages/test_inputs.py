import json

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, SpaceError
from analognas.files import write_parquet, write_sealed
from analognas.params import Params
from analognas.params.file import override
from analognas.search_spaces import Architecture
from analognas.stages import inputs
from analognas.workspace import Paths

MINE = {"name": "mine", "input_shape": [3, 16, 16], "classes": 4}


def some(paths: Paths, n: int) -> list[Architecture]:
    return inputs.space(Params.load(paths.params), paths).sample(n)


def write_sample(paths: Paths, architectures: list[Architecture]) -> None:
    rows = [
        {"id": one.id, "space": one.space.name, "genes": one.genes.to_json(), "params": one.params, "tiles": 1}
        for one in architectures
    ]
    write_parquet(paths.architectures, pd.DataFrame(rows))


def write_best(paths: Paths, architectures: list[Architecture]) -> None:
    paths.search.mkdir()
    best = {"candidates": [one.to_dict() | {"limits": {"status": "held"}} for one in architectures]}
    write_sealed(paths.search / "best.json", best)


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
        write_sealed(workspace.rounds / f"{name}.json", content)
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
    "content",
    ["[]", "3", "{}", '{"architectures": 3}', '{"architectures": [{}]}', '{"architectures": [{"genes": null}]}',
     '{"architectures": [{"genes": {"M": 99}}]}'],
)  # fmt: skip
def test_a_round_that_is_none_is_named(workspace: Paths, content: str):
    write_sample(workspace, some(workspace, 1))
    if content.startswith('{"'):
        write_sealed(workspace.rounds / "007.json", json.loads(content))
    else:
        (workspace.rounds / "007.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"007\.json .*: restore it from git\.$"):
        inputs.architectures(Params.load(workspace.params), workspace)


@pytest.mark.parametrize("column", ["other", "genes"])
def test_a_sample_that_is_none_is_named(workspace: Paths, column: str):
    write_parquet(workspace.architectures, pd.DataFrame({column: ["no genes"]}))
    with pytest.raises(CorruptFileError, match=r"architectures\.parquet is no table of architectures .*stage sample"):
        inputs.architectures(Params.load(workspace.params), workspace)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"name": "digits"}'])
def test_a_description_of_no_dataset_is_named(workspace: Paths, content: str):
    if content.startswith('{"'):
        write_sealed(workspace.dataset, json.loads(content))
    else:
        workspace.dataset.write_text(content)
    with pytest.raises(CorruptFileError, match=r"dataset\.json is damaged"):
        inputs.space(Params.load(workspace.params), workspace)


def test_a_search_without_candidates_is_damaged(workspace: Paths):
    write_best(workspace, [])
    with pytest.raises(CorruptFileError, match="no candidates"):
        inputs.candidates(Params.load(workspace.params), workspace)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"params": 7}, "row 0 has params = 7, its network has"),
        ({"space": "another"}, "row 0 has space = 'another', not 'resnet-digits'"),
        ({"id": "0" * 16}, "row 0 has the id 0000000000000000, its genes are those of"),
    ],
)
def test_a_sample_of_something_else_is_named(workspace: Paths, changed: dict, said: str):
    write_sample(workspace, some(workspace, 2))
    write_parquet(workspace.architectures, pd.read_parquet(workspace.architectures).assign(**changed))
    with pytest.raises(CorruptFileError, match=said):
        inputs.architectures(Params.load(workspace.params), workspace)


@pytest.mark.parametrize("changed", [{"id": "0" * 16}, {"limits": {"status": "splendid"}}, {"limits": 3}])
def test_a_candidate_of_something_else_is_named(workspace: Paths, changed: dict):
    write_best(workspace, some(workspace, 1))
    best = {"candidates": [some(workspace, 1)[0].to_dict() | {"limits": {"status": "held"}} | changed]}
    write_sealed(workspace.search / "best.json", best)
    with pytest.raises(CorruptFileError, match=r"best\.json does not fit this workspace"):
        inputs.candidates(Params.load(workspace.params), workspace)
