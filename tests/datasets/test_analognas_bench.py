from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec

import pytest

from analognas.datasets import PARTS, Options, analognas_bench, cifar10
from analognas.errors import DatasetError
from analognas.search_spaces.nasbench201.table import DIGEST


@pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")
def test_it_is_cifar_10_without_images_and_known_by_the_table():
    data = analognas_bench.load(Options())
    assert data.name == "analognas-bench"
    assert (data.input_shape, data.classes, data.class_names) == ((3, 32, 32), 10, cifar10.CLASS_NAMES)
    assert [len(data.part(part)) for part in PARTS] == [0, 0, 0]
    assert {data.part(part).x.shape for part in PARTS} == {(0, 3, 32, 32)}
    assert data.digest == data.split_digest == DIGEST


def test_without_the_table_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    def nothing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", nothing)
    with pytest.raises(DatasetError, match=r"pip install 'analognas\[bench\]'"):
        analognas_bench.load(Options())
