import hashlib
import http.server
import threading

import pytest

from analognas.datasets.download import fetch
from analognas.errors import DatasetError

CONTENT = b"x" * 200_000
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path):
    """Serve a folder on this machine; give back the address and the requests that came in."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "set.tar.gz").write_bytes(CONTENT)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=served)

        def log_message(self, *args):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", requests
        running.shutdown()
        thread.join()


def test_downloads_once_with_progress(server, cache_folder):
    address, requests = server
    seen = []
    file = fetch(f"{address}/set.tar.gz", MD5, what="a set", progress=lambda *step: seen.append(step))
    assert file == cache_folder / "set.tar.gz"
    assert file.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT), "downloading a set")
    assert len(seen) > 2
    assert fetch(f"{address}/set.tar.gz", MD5, what="a set") == file
    assert len(requests) == 1


def test_shows_a_bar_on_standard_error(server, capsys):
    fetch(f"{server[0]}/set.tar.gz", MD5, what="a set")
    shown = capsys.readouterr()
    assert "downloading a set" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("name", "md5", "reason"),
    [("missing.tar.gz", MD5, "404"), ("set.tar.gz", "0" * 32, "hash")],
)
def test_a_failed_download_says_how_to_go_on(server, cache_folder, name, md5, reason):
    with pytest.raises(DatasetError, match=f"a set could not be downloaded .*{reason}.* with --path"):
        fetch(f"{server[0]}/{name}", md5, what="a set", progress=lambda *_: None)
    assert list(cache_folder.iterdir()) == []


def test_without_a_network(cache_folder):
    with pytest.raises(DatasetError, match=r"could not be downloaded .* with --path"):
        fetch("http://127.0.0.1:1/set.tar.gz", MD5, what="a set")


def test_a_cache_that_cannot_be_written(cache_folder):
    cache_folder.write_text("a file where the folder should be")
    with pytest.raises(DatasetError, match="could not be downloaded"):
        fetch("http://127.0.0.1:1/set.tar.gz", MD5, what="a set")
