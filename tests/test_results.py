import json
from pathlib import Path

import pytest

from analognas.errors import AnalogNASWarning, CorruptFileError
from analognas.files import digest, write_json
from analognas.results import ResultStore, checked_record, result_key
from analognas.testing import made_up_result

INPUTS, RESULT = made_up_result(1, 91.5)


def test_the_key_depends_on_every_input_and_not_on_their_order():
    assert result_key({"a": 1, "b": 2}) == result_key({"b": 2, "a": 1})
    assert result_key({"a": 1, "b": 2}) != result_key({"a": 1, "b": 3})


def test_what_is_put_can_be_got_and_stays(tmp_path: Path):
    store = ResultStore(tmp_path / "results")
    key = store.put(INPUTS, RESULT)
    store.put(INPUTS, made_up_result(1, 0.0)[1])
    assert store.get(key) == RESULT
    assert key in store
    assert list(store.keys()) == [key]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("91.5", "99.5"),
        lambda text: json.dumps({"format": 1}),
        lambda text: "[]",
    ],
    ids=["truncated", "changed", "foreign", "list"],
)
def test_a_damaged_result_is_refused_by_name(tmp_path: Path, spoil):
    store = ResultStore(tmp_path)
    key = store.put(INPUTS, RESULT)
    store.path(key).write_text(spoil(store.path(key).read_text()))
    with pytest.raises(CorruptFileError, match=rf"{key}\.json .*delete it and run again"):
        store.get(key)
    found = store.path(key).read_bytes()
    with pytest.warns(AnalogNASWarning, match=rf"{key}\.json .*kept as {key}\.json\.damaged.*measured anew"):
        assert not store.holds(key)
    assert store.path(key).with_name(f"{key}.json.damaged").read_bytes() == found
    assert list(store.keys()) == []
    assert not store.holds(key)
    store.put(INPUTS, RESULT)
    assert store.holds(key)
    assert store.get(key) == RESULT


def test_a_result_under_another_key_is_refused(tmp_path: Path):
    store = ResultStore(tmp_path)
    other = result_key(INPUTS | {"seed": 1})
    store.path(other).parent.mkdir(parents=True, exist_ok=True)
    store.path(other).write_text(store.path(store.put(INPUTS, RESULT)).read_text())
    with pytest.raises(CorruptFileError, match="result of something else"):
        store.get(other)


def test_the_store_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ANALOGNAS_RESULTS", raising=False)
    assert ResultStore.of(tmp_path).root == tmp_path / "data" / "results"
    monkeypatch.setenv("ANALOGNAS_RESULTS", str(tmp_path / "shared"))
    assert ResultStore.of(tmp_path).root == tmp_path / "shared"


def test_what_another_process_brings_at_the_same_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store, there = ResultStore(tmp_path / "here"), ResultStore(tmp_path / "there")
    key = there.put(INPUTS, RESULT)
    assert store.take(there.record(key)) == "new"
    monkeypatch.setattr(ResultStore, "__contains__", lambda *_: False)  # as it was a moment before
    assert store.put(INPUTS, made_up_result(1, 2.0)[1]) == key
    assert store.get(key) == RESULT


def spoil(inputs, row, **changed):
    """A whole record with the right digest of a result that cannot be."""
    result = row.to_dict() | changed
    return {"format": 1, "inputs": inputs, "result": result, "digest": digest([1, inputs, result])}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"acc_1d": 1000.0}, "has acc_1d = 1000, not a number between 0 and 100"),
        ({"acc_1d_std": -0.5}, "has acc_1d_std = -0.5"),
        ({"status": "splendid"}, "has status = 'splendid'"),
        ({"genes": '{"number":9}'}, "its genes are those of"),
        (made_up_result(2)[1].to_dict(), "holds the result of another architecture than its inputs say"),
    ],
)
def test_a_result_that_cannot_be_is_refused_though_its_digest_fits(tmp_path: Path, changed, said: str):
    record = spoil(INPUTS, RESULT, **changed)
    with pytest.raises(CorruptFileError) as refused:
        checked_record(record, "there/x.json", "it was left out")
    assert said in str(refused.value)
    assert str(refused.value).endswith(": it was left out.")
    store = ResultStore(tmp_path)
    key = result_key(INPUTS)
    write_json(store.path(key), record)
    with pytest.warns(AnalogNASWarning, match="measured anew"):
        assert not store.holds(key)
