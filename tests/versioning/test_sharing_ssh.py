"""Results and data over a real SSH server on loopback."""

import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.results import ResultStore
from analognas.testing import made_up_result
from analognas.versioning import Versioning, sharing
from analognas.workspace import Paths

# DVC runs as a program, several times in each.
pytestmark = pytest.mark.timeout(300)

_SERVER = """
import asyncio, sys, asyncssh

async def serve():
    server = await asyncssh.listen(
        "127.0.0.1", int(sys.argv[1]), server_host_keys=["host"], authorized_client_keys="client.pub", sftp_factory=True
    )
    await server.wait_closed()

asyncio.run(serve())
"""
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
Subsystem sftp internal-sftp
"""


def sshd(folder: Path, port: int) -> list[str]:
    """Return the command of OpenSSH's server, if it can run here."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("OpenSSH's server is not installed")
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    check = subprocess.run([program, "-t", "-f", "config"], cwd=folder, capture_output=True, text=True, check=False)
    if check.returncode:
        pytest.skip(f"OpenSSH's server cannot run here: {check.stderr.strip()}")
    return [program, "-D", "-e", "-f", str(folder / "config")]


@pytest.fixture(params=["sshd", "asyncssh"])
def ssh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A real SSH server on loopback: its address with a folder, and the key that opens it."""
    if importlib.util.find_spec("dvc_ssh") is None:
        pytest.skip("dvc-ssh is not installed: pip install 'analognas[ssh]'")
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    folder = tmp_path / "server"
    folder.mkdir()
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name], cwd=folder, check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = sshd(folder, port) if request.param == "sshd" else [sys.executable, "-c", _SERVER, str(port)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/remote", str(folder / "client")
    finally:
        server.terminate()
        server.wait(10)


def content(store: ResultStore) -> dict[str, str]:
    return {path.relative_to(store.root).as_posix(): path.read_text() for path in sorted(store.root.rglob("*.json"))}


@pytest.mark.slow
def test_results_and_data_travel_over_ssh(
    team: tuple[Paths, Paths], point_to: Callable[..., None], tmp_path: Path, ssh: tuple[str, str]
):
    anna, ben = team
    store, other = (ResultStore.of(paths.root) for paths in team)
    remote = tmp_path / "remote" / "analognas" / "results"
    for paths in team:
        point_to(paths, ssh[0], keyfile=ssh[1])
    (anna.root / "data").mkdir(exist_ok=True)
    (anna.root / "data" / "architectures").write_text("abc")
    Versioning(anna.root).commit("sample")
    for number in range(60):
        store.put(*made_up_result(number))
    other.put(*made_up_result(0, 91.0))
    done = sharing.push(anna)
    assert (done.copied, done.data, done.problems) == (60, "Data: 1 file pushed.", [])
    assert len(list(remote.iterdir())) == 60  # and no temporary one
    shutil.copy(anna.root / "dvc.lock", ben.root)
    file = min(remote.iterdir())
    file.write_text(file.read_text().replace("9", "8"))
    done = sharing.pull(ben)
    assert (done.copied, len(done.problems)) == (59, 1)
    assert file.name in done.problems[0]
    assert (ben.root / "data" / "architectures").read_text() == "abc"
    file.unlink()
    assert (sharing.push(ben).copied, sharing.push(anna).copied) == (1, 1)
    for paths in team:
        assert sharing.pull(paths).problems == []
    assert content(store) == content(other)


@pytest.mark.slow
def test_an_ssh_server_that_is_away_is_one_sentence(
    team: tuple[Paths, Paths], point_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("dvc_ssh")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    point_to(team[0], f"ssh://somebody:secret@127.0.0.1:{port}/remote")
    monkeypatch.chdir(team[0].root)
    result = CliRunner().invoke(main, ["pull"])
    assert result.exit_code == 1
    assert result.stderr.startswith("analognas: The DVC remote 'team' cannot be read: ")
    assert "secret" not in result.stderr
