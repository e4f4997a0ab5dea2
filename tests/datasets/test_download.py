import hashlib

import pytest

from analognas.datasets.download import fetch, matches, take
from analognas.datasets.published import Published
from analognas.errors import DatasetError

CONTENT = bytes(range(250)) * 1_000
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "set.tar.gz").write_bytes(CONTENT)
    return folder


def published(address, checksum=MD5, name="set.tar.gz", folder=""):
    return Published(f"{address}/{name}", checksum, len(CONTENT), folder)


@pytest.mark.parametrize("checksum", [MD5, SHA256])
def test_downloads_once_with_progress(served, serve, cache_folder, checksum):
    seen = []
    with serve(served) as address:
        wanted = published(address, checksum)
        file = fetch(wanted, what="a set", progress=lambda *step: seen.append(step))
        assert file == cache_folder / "set.tar.gz"
        assert file.read_bytes() == CONTENT
        assert seen[-1] == (len(CONTENT), len(CONTENT), "downloading a set")
        assert len(seen) > 2
        assert fetch(wanted, what="a set") == file
    assert serve.requests == [("/set.tar.gz", None)]
    assert [path.name for path in cache_folder.iterdir() if path.name != ".lock"] == ["set.tar.gz"]


def test_files_of_common_names_have_a_folder_of_their_own(served, serve, cache_folder):
    with serve(served) as address:
        file = fetch(published(address, folder="a-set"), what="a set", progress=lambda *_: None)
    assert file == cache_folder / "a-set" / "set.tar.gz"


def test_shows_a_bar_on_standard_error(served, serve, capsys):
    with serve(served) as address:
        fetch(published(address), what="a set")
    shown = capsys.readouterr()
    assert "downloading a set" in shown.err
    assert shown.out == ""


def test_a_broken_connection_is_taken_up_again(served, serve, cache_folder):
    with serve(served, break_after=[131_072, 65_536]) as address:
        file = fetch(published(address), what="a set", progress=lambda *_: None)
    assert file.read_bytes() == CONTENT
    assert serve.requests == [("/set.tar.gz", given) for given in (None, "bytes=131072-", "bytes=196608-")]


def test_the_next_download_goes_on_where_the_last_one_was(served, serve, cache_folder):
    seen = []
    with serve(served, break_after=[131_072, 0]) as address:
        with pytest.raises(DatasetError, match="a set could not be downloaded"):
            fetch(published(address), what="a set", progress=lambda *_: None)
        assert [path.name for path in cache_folder.iterdir() if path.name != ".lock"] == ["set.tar.gz.part"]
        file = fetch(published(address), what="a set", progress=lambda *step: seen.append(step[:2]))
    assert file.read_bytes() == CONTENT
    assert serve.requests[-1] == ("/set.tar.gz", "bytes=131072-")
    assert seen[0][0] > 131_072
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_starts_over(served, serve, cache_folder):
    (cache_folder).mkdir()
    (cache_folder / "set.tar.gz.part").write_bytes(b"?" * 1_000)
    with serve(served, ranges=False) as address:
        assert fetch(published(address), what="a set", progress=lambda *_: None).read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"?" * 1_000, b"?" * (len(CONTENT) + 1)])
def test_a_part_of_something_else_is_dropped(served, serve, cache_folder, stale):
    cache_folder.mkdir()
    (cache_folder / "set.tar.gz.part").write_bytes(stale)
    with serve(served) as address:
        with pytest.raises(DatasetError, match=r"could not be downloaded .*hash"):
            fetch(published(address), what="a set", progress=lambda *_: None)
        assert fetch(published(address), what="a set", progress=lambda *_: None).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "checksum", "reason"),
    [("missing.tar.gz", MD5, "404"), ("set.tar.gz", "md5:" + "0" * 32, "hash")],
)
def test_a_failed_download_says_how_to_go_on(served, serve, cache_folder, name, checksum, reason):
    with (
        serve(served) as address,
        pytest.raises(DatasetError, match=f"a set could not be downloaded .*{reason}.*fetch NAME --from DIR"),
    ):
        fetch(published(address, checksum, name), what="a set", progress=lambda *_: None)
    assert [path.name for path in cache_folder.iterdir()] == [".lock"]


def test_without_a_network():
    with pytest.raises(DatasetError, match=r"could not be downloaded .* --from DIR"):
        fetch(published("http://127.0.0.1:1"), what="a set")


def test_a_cache_that_cannot_be_written(cache_folder):
    cache_folder.write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match="could not be downloaded"):
        fetch(published("http://127.0.0.1:1"), what="a set")
    with pytest.raises(DatasetError, match="lacks"):
        take(published("http://127.0.0.1:1"), cache_folder.parent, what="a set")


def test_never_into_a_workspace(served, serve, tmp_path, monkeypatch):
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).touch()
    with serve(served) as address:
        with pytest.raises(DatasetError, match=r"cache, is in the workspace .*ANALOGNAS_DATA"):
            fetch(published(address), what="a set")
        with pytest.raises(DatasetError, match="is in the workspace"):
            take(published(address), served, what="a set")
    assert serve.requests == []


def test_taken_from_a_folder(served, cache_folder):
    wanted = published("http://127.0.0.1:1")
    file = take(wanted, served, what="a set")
    assert file == cache_folder / "set.tar.gz"
    assert file.read_bytes() == CONTENT
    assert fetch(wanted, what="a set") == file  # no network any more
    (served / "set.tar.gz").unlink()
    assert take(wanted, served, what="a set") == file


def test_a_damaged_file_is_taken_anew(served, cache_folder):
    wanted = published("http://127.0.0.1:1")
    file = take(wanted, served, what="a set")
    file.write_bytes(CONTENT[:-1])
    assert not matches(wanted, file)
    assert take(wanted, served, what="a set").read_bytes() == CONTENT


def test_what_is_not_the_published_file_is_not_taken(served, cache_folder):
    (served / "set.tar.gz").write_bytes(CONTENT[1:])
    with pytest.raises(DatasetError, match=r"set.tar.gz is not the published file \(wrong md5\): get it again"):
        take(published("http://127.0.0.1:1"), served, what="a set")
    assert not cache_folder.exists()
