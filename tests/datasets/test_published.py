import re

from analognas.datasets import catalogue, published
from analognas.datasets.published import Published


def test_every_file_has_a_checksum_of_its_kind_and_a_place(cache_folder):
    files = [file for entry in catalogue() for file in entry.files]
    assert len(files) == 7
    for file in files:
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum)
        assert file.url.startswith("https://")
        assert file.size > 1_000
        assert cache_folder in file.path.parents
    assert len({file.path for file in files}) == len(files)


def test_name_and_place(cache_folder):
    file = Published("https://example.org/some/set.tar.gz", "md5:0", 1, "mine")
    assert file.name == "set.tar.gz"
    assert file.path == cache_folder / "mine" / "set.tar.gz"
    assert published.FASHION_MNIST[0].path.parent.name == "fashion-mnist"
