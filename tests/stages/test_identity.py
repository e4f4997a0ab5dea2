import pickle
from dataclasses import replace
from typing import Any

import pytest

from analognas.errors import MismatchError
from analognas.files import read_sealed, write_sealed
from analognas.params import CharacterizeParams, HardwareParams, Params
from analognas.setup.preparing import prepare
from analognas.stages import PROTOCOLS, identity
from analognas.workspace import Paths


@pytest.mark.parametrize(
    ("key", "same"), [("digest", False), ("split_digest", False), ("augment", False), ("licence", True)]
)
def test_the_id_of_a_dataset_is_its_content_its_split_and_its_augmentation(workspace: Paths, key: str, same: bool):
    before = identity.dataset_id(workspace)
    recorded = read_sealed(workspace.dataset, remedy="")
    write_sealed(workspace.dataset, recorded | {key: "other"})
    assert before.startswith("digits-")
    assert (identity.dataset_id(workspace) == before) is same


def test_without_augmentation_ids_and_keys_are_what_they_were_before_there_was_any(workspace: Paths):
    recorded = read_sealed(workspace.dataset, remedy="")
    assert recorded.pop("augment") == []
    now = identity.dataset_id(workspace)
    write_sealed(workspace.dataset, recorded)
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
        {"distillation_temperature": None},
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
    assert dataset.digest == read_sealed(workspace.dataset, remedy="")["digest"]
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
