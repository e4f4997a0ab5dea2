from __future__ import annotations

import hashlib
import os
import pickle
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from analognas.errors import AnalogNASWarning, DatasetError, SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import AnalogNASBench, NASBench201Space
from analognas.search_spaces.nasbench201 import table as analognas_bench
from analognas.search_spaces.nasbench201.family import EDGE_GENES
from analognas.search_spaces.nasbench201.table import COLUMNS, loads

needs_table = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return a pickle like the benchmark's, of three cells."""
    module = ModuleType("analognasbench.data")
    for name in ("Architecture", "DriftMeasurement"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, "analognasbench", ModuleType("analognasbench"))
    monkeypatch.setitem(sys.modules, "analognasbench.data", module)

    def drift(value: float) -> Any:
        found = module.DriftMeasurement()
        found.value, found.uncertainty = value, 0.5
        return found

    table = {}
    for number, cell in enumerate([(0, 0, 0, 0, 0, 0), (2, 1, 1, 1, 0, 1), (1, 1, 2, 1, 1, 1)]):
        record = module.Architecture()
        record.architecture = cell
        for place, attribute in enumerate(COLUMNS.values()):
            value = 90.0 - place - number
            setattr(record, attribute, drift(value) if "drift" in attribute else value)
        table[cell] = record
    return pickle.dumps(table)


@pytest.fixture
def bench(records: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnalogNASBench:
    monkeypatch.setenv("ANALOGNAS_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(analognas_bench, "DIGEST", hashlib.sha256(records).hexdigest())
    (tmp_path / "data.anb").write_bytes(records)
    return AnalogNASBench(tmp_path / "data.anb")


def cells(*given: tuple[int, ...]) -> list[Any]:
    return [NASBench201Space().architecture(dict(zip(EDGE_GENES, one, strict=True))) for one in given]


def test_results_come_in_the_order_of_the_question(bench: AnalogNASBench) -> None:
    found = bench.evaluate(cells((1, 1, 2, 1, 1, 1), (0,) * 6, (1, 1, 2, 1, 1, 1)))
    assert found["acc_digital"].tolist() == [88.0, 90.0, 88.0]
    assert found["avm"].tolist() == [3.0] * 3  # 60 s minus 30 days
    assert {"acc_1d", "acc_1d_std", "avm", "acc_digital", "acc_60s", "acc_1h", "acc_30d", "function_id"} <= set(found)
    assert found["id"].tolist() == [one.id for one in cells((1, 1, 2, 1, 1, 1), (0,) * 6, (1, 1, 2, 1, 1, 1))]
    assert bench.evaluate([]).empty


def test_cells_of_one_function_share_their_function_id(bench: AnalogNASBench) -> None:
    _, through_node_2, directly = bench.table["function_id"]
    assert through_node_2 == directly


def test_the_pickle_is_read_once(bench: AnalogNASBench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.table
    monkeypatch.setattr(analognas_bench, "loads", lambda _: pytest.fail("read again"))
    pd.testing.assert_frame_equal(AnalogNASBench(bench.path).table, before)


def test_a_cache_that_is_damaged_or_cannot_be_written_costs_time_only(
    bench: AnalogNASBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = bench.table
    (cached,) = (tmp_path / "cache" / "tables").iterdir()
    cached.write_bytes(b"PAR1 no longer")
    pd.testing.assert_frame_equal(AnalogNASBench(bench.path).table, before)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANALOGNAS_DATA", str(tmp_path / "file"))
    with pytest.warns(AnalogNASWarning, match="is not kept"):
        pd.testing.assert_frame_equal(AnalogNASBench(bench.path).table, before)


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/analognas-was-here",)


def test_a_pickle_that_calls_something_is_refused_before_it_does() -> None:
    with pytest.raises(DatasetError, match=r"damaged or holds something else \(the name .*system"):
        loads(pickle.dumps({(0,) * 6: Attack()}))
    assert not Path("/tmp/analognas-was-here").exists()


@pytest.mark.parametrize("data", [b"", b"nothing", pickle.dumps([1]), pickle.dumps({(9,) * 6: 1})])
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(DatasetError, match="pip install"):
        loads(data)


def test_another_table_is_refused(bench: AnalogNASBench) -> None:
    bench.path.write_bytes(bench.path.read_bytes() + b"x")
    with pytest.raises(DatasetError, match="is not the table"):
        AnalogNASBench(bench.path)
    with pytest.raises(DatasetError, match="cannot be read"):
        AnalogNASBench(bench.path.parent / "missing.anb")


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise analognas_bench.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(analognas_bench.metadata, "distribution", missing)
    with pytest.raises(DatasetError, match=r"not installed: pip install 'analognas\[bench\]'"):
        AnalogNASBench()


def test_other_architectures_are_refused(bench: AnalogNASBench) -> None:
    with pytest.raises(SpaceError, match="not in AnalogNAS-Bench"):
        bench.evaluate(ConfigSpace("CIFAR-10").sample(1))
    with pytest.raises(SpaceError, match="published width and depth"):
        bench.evaluate(NASBench201Space(channels=8).sample(1))
    with pytest.raises(SpaceError, match="3 x 32 x 32 inputs and 10 classes"):
        bench.evaluate(NASBench201Space("digits").sample(1))


def test_devices_that_are_better_than_the_digital_network_are_doubtful() -> None:
    """Five standard errors of two evaluations on 10,000 images: 3.54 points at 50 %, 2.12 at 90 %, 0 at 100 %."""
    rows = [
        (50.0, 53.5, False),
        (50.0, 53.6, True),
        (90.0, 92.1, False),
        (90.0, 92.2, True),
        (100.0, 100.0, False),
        (90.0, 10.0, False),
    ]
    for late in ("acc_60s", "acc_1h", "acc_1d", "acc_30d"):  # at whatever time
        frame = pd.DataFrame({"acc_digital": [digital for digital, _, _ in rows]})
        for name in ("acc_60s", "acc_1h", "acc_1d", "acc_30d"):
            frame[name] = [value if name == late else 5.0 for _, value, _ in rows]
        assert analognas_bench.doubtful(frame).tolist() == [expected for _, _, expected in rows]


def test_a_doubtful_row_has_no_avm(records: bytes) -> None:
    table = pickle.loads(records)
    next(iter(table.values())).analog_drift_60.value = 99.0
    frame = loads(pickle.dumps(table))
    assert frame["doubtful"].tolist() == [True, False, False]
    assert frame["avm"].isna().tolist() == [True, False, False]
    assert frame["acc_1d"].notna().all()


@needs_table
def test_the_published_table() -> None:
    """Its size, its best cell, and how far cells of one function are apart (median of their standard deviations)."""
    table = AnalogNASBench().table
    assert len(table) == 15_625
    assert table["acc_1d"].max() == 90.53
    assert table.loc[table["doubtful"], list(EDGE_GENES)].to_numpy().tolist() == [[0] * 6]
    assert table["avm"].isna().tolist() == table["doubtful"].tolist()
    assert table["function_id"].nunique() == 5044
    groups = table.groupby("function_id")["acc_1d"]
    assert groups.std().dropna().median() == pytest.approx(1.8, abs=0.1)
