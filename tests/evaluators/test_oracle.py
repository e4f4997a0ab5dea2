from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, SpaceError
from analognas.evaluators.columns import COLUMNS
from analognas.evaluators.oracle import OracleEvaluator
from analognas.folders import write_folder
from analognas.search_algorithms import EAOptimizer
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


@pytest.fixture(scope="module")
def oracle() -> OracleEvaluator:
    return OracleEvaluator()


def test_it_says_what_the_table_says(oracle: OracleEvaluator) -> None:
    cells = NASBench201Space().sample(20, seed=1)
    found = oracle.predict(cells)
    assert tuple(found.columns) == COLUMNS
    published = oracle.bench.evaluate(cells)
    for target in ("acc_1d", "avm", "acc_1d_std"):
        assert found[target].tolist() == published[target].tolist()
        assert (found[f"{target}_low"] <= found[target]).all()
        assert (found[target] <= found[f"{target}_high"]).all()
    assert oracle.score(cells, published) == 1.0
    assert oracle.predict([]).empty


def test_a_search_with_it_knows_every_label(oracle: OracleEvaluator) -> None:
    result = EAOptimizer(oracle, population_size=50, nb_iter=20, k=0.0).run(NASBench201Space())
    assert result.value > oracle.bench.table["acc_1d"].quantile(0.999)


def test_other_spaces_are_refused(oracle: OracleEvaluator) -> None:
    with pytest.raises(SpaceError, match="not in AnalogNAS-Bench"):
        oracle.predict(ConfigSpace("CIFAR-10").sample(1))


def test_it_is_stored_as_the_table_it_is_of(oracle: OracleEvaluator, tmp_path: Path) -> None:
    oracle.save(tmp_path / "oracle")
    cells = NASBench201Space().sample(3)
    pd.testing.assert_frame_equal(OracleEvaluator.load(tmp_path / "oracle").predict(cells), oracle.predict(cells))
    write_folder(tmp_path / "oracle", "oracle.json", {"table": "0"}, {})
    with pytest.raises(CorruptFileError, match="another table"):
        OracleEvaluator.load(tmp_path / "oracle")
