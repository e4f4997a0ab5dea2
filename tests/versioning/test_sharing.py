import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.errors import WorkspaceError
from analognas.files import digest, json_bytes
from analognas.results import ResultStore, result_key
from analognas.testing import made_up_result
from analognas.versioning import Versioning, sharing
from analognas.versioning.dvc_inside import NoRemoteError
from analognas.versioning.remote import Remote, SharingError
from analognas.workspace import Paths

# DVC runs as a program, several times in each.
pytestmark = pytest.mark.timeout(300)


def inputs(number: int) -> dict[str, Any]:
    return made_up_result(number)[0]


def put(paths: Paths, number: int, accuracy: float = 90.0) -> str:
    return ResultStore.of(paths.root).put(*made_up_result(number, accuracy))


def put_data(paths: Paths, text: str) -> None:
    file = paths.root / "data" / "architectures"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def record(number: int, accuracy: float = 90.0) -> dict[str, Any]:
    found: dict[str, Any] = {
        "format": 1, "inputs": inputs(number), "result": made_up_result(number, accuracy)[1].to_dict()
    }  # fmt: skip
    return found | {"digest": digest([1, found["inputs"], found["result"]])}


def content(store: ResultStore) -> dict[str, str]:
    return {path.relative_to(store.root).as_posix(): path.read_text() for path in sorted(store.root.rglob("*.json"))}


def remote_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "remote" / "analognas" / "results").iterdir())


def call(paths: Paths, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.chdir(paths.root)
    return CliRunner().invoke(main, list(arguments))


def test_results_travel_both_ways_and_only_once(team: tuple[Paths, Paths], tmp_path: Path):
    anna, ben = team
    for number in range(5):
        put(anna, number)
    for number in range(3, 9):
        put(ben, number)
    done = sharing.push(anna)
    assert (done.copied, done.known, done.problems) == (5, 0, [])
    assert "Nothing is recorded" in done.data
    assert sharing.push(anna).copied == 0
    done = sharing.pull(ben)
    assert (done.copied, done.known) == (3, 2)
    assert sharing.push(ben).copied == 4
    assert sharing.pull(anna).copied == 4
    assert content(ResultStore.of(anna.root)) == content(ResultStore.of(ben.root))
    assert len(remote_files(tmp_path)) == 9
    before = {path: path.stat().st_mtime_ns for path in remote_files(tmp_path)}
    assert sharing.push(ben).copied == sharing.pull(ben).copied == 0
    assert {path: path.stat().st_mtime_ns for path in remote_files(tmp_path)} == before


def test_a_clone_that_pulls_knows_how_to_merge_what_follows(team: tuple[Paths, Paths]):
    asked = ["git", "config", "--get", "merge.analognas.driver"]
    assert subprocess.run(asked, cwd=team[1].root, capture_output=True, check=False).stdout == b""
    sharing.pull(team[1])
    assert subprocess.run(asked, cwd=team[1].root, capture_output=True, check=True).stdout == b"true\n"


def test_of_two_results_of_one_key_the_same_is_used_everywhere_and_none_is_lost(team: tuple[Paths, Paths]):
    anna, ben = team
    key = put(anna, 0, 90.0)
    put(ben, 0, 90.5)
    first, other = sorted((record(0, 90.0), record(0, 90.5)), key=lambda one: one["digest"])
    for paths in (anna, ben, anna, ben):
        sharing.push(paths)
        sharing.pull(paths)
    for paths in (anna, ben):
        store = ResultStore.of(paths.root)
        assert store.record(key)["result"] == first["result"]
        assert list(store.replicates()) == [(key, other["digest"])]
        assert store.replicate(key, other["digest"]) == other
        assert list(store.keys()) == [key]


def test_stores_end_up_equal_in_whatever_order_they_meet(
    team: tuple[Paths, Paths], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sharing, "_share_data", lambda *_: None)
    remotes: dict[tuple[Path, int], Remote] = {}

    def opened(root: Path, _: str | None) -> Remote:
        return remotes[root, 0]

    opening = Remote(team[0].root, None), Remote(team[1].root, None)
    monkeypatch.setattr(sharing, "Remote", opened)
    remotes = {(paths.root, 0): there for paths, there in zip(team, opening, strict=True)}
    for seed in range(25):
        draw = random.Random(seed)
        for paths, there in zip(team, opening, strict=True):
            shutil.rmtree(ResultStore.of(paths.root).root, ignore_errors=True)
            there._folder = str(tmp_path / "remote" / str(seed))
        measured: dict[str, set[str]] = {}
        for _ in range(30):
            paths = draw.choice(team)
            act = draw.choice(["measure", "measure", "push", "pull"])
            if act == "measure":
                number, accuracy = draw.randrange(6), draw.choice([90.0, 90.5, 91.0])
                key = result_key(inputs(number))
                if key not in ResultStore.of(paths.root):
                    put(paths, number, accuracy)
                    measured.setdefault(key, set()).add(record(number, accuracy)["digest"])
            else:
                assert not getattr(sharing, act)(paths).problems
        for paths in (*team, *team):
            sharing.push(paths)
            sharing.pull(paths)
        stores = [ResultStore.of(paths.root) for paths in team]
        assert content(stores[0]) == content(stores[1])
        assert set(stores[0].keys()) == set(measured)
        for key, digests in measured.items():
            assert stores[0].record(key)["digest"] == min(digests)
        assert sorted(stores[0].replicates()) == sorted(
            (key, one) for key, digests in measured.items() for one in digests - {min(digests)}
        )


def test_a_result_that_was_deleted_gives_way_to_its_replicate(team: tuple[Paths, Paths]):
    anna, ben = team
    key = put(anna, 0, 90.0)
    put(ben, 0, 90.5)
    sharing.push(ben)
    sharing.pull(anna)
    store = ResultStore.of(anna.root)
    ((_, other),) = store.replicates()
    store.path(key).unlink()
    store.settle()
    assert store.record(key)["digest"] == other
    assert not list(store.replicates())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("90.0", "99.0"),
        lambda text: text.replace("90.0", "NaN"),
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: json_bytes(record(7)).decode(),
    ],
    ids=["truncated", "empty", "changed", "not-a-number", "nested", "list", "foreign"],
)
def test_a_damaged_file_on_the_remote_is_named_and_left_out(
    team: tuple[Paths, Paths], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any
):
    anna, ben = team
    for number in range(3):
        put(anna, number)
    sharing.push(anna)
    file = remote_files(tmp_path)[1]
    file.write_text(spoil(file.read_text()))
    result = call(ben, monkeypatch, "pull", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["copied"] == 2
    assert len(found["problems"]) == 1
    assert file.name in found["problems"][0]
    assert result.stderr.startswith("analognas: ")
    assert len(list(ResultStore.of(ben.root).keys())) == 2


def test_an_object_store_is_written_to_without_renaming(
    team: tuple[Paths, Paths], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    anna, ben = team
    put(anna, 0)
    made = Remote.__init__

    def objects(self: Remote, root: Path, remote: str | None) -> None:
        made(self, root, remote)
        self._whole = True
        monkeypatch.delattr(type(self.fs.fs), "mv")

    with monkeypatch.context() as context:
        context.setattr(Remote, "__init__", objects)
        assert (sharing.push(anna).copied, len(remote_files(tmp_path))) == (1, 1)
    assert sharing.pull(ben).copied == 1


def test_a_file_that_was_cut_short_on_the_remote_is_mended_by_who_has_the_whole(
    team: tuple[Paths, Paths], tmp_path: Path
):
    anna, ben = team
    put(anna, 0)
    sharing.push(anna)
    (file,) = remote_files(tmp_path)
    file.write_text(file.read_text()[:20])
    assert sharing.push(anna).copied == 1
    assert sharing.pull(ben).problems == []


def test_what_is_not_a_result_is_not_looked_at(team: tuple[Paths, Paths], tmp_path: Path):
    anna, ben = team
    put(anna, 0)
    sharing.push(anna)
    for name in (".tmp-0123", "README", f"{'0' * 64}.json", "..json"):
        (tmp_path / "remote" / "analognas" / "results" / name).write_text("no result")
    done = sharing.pull(ben)
    assert (done.copied, done.problems) == (1, [])


def test_a_damaged_result_here_is_named_not_pushed_and_restored_from_the_remote(
    team: tuple[Paths, Paths], tmp_path: Path
):
    anna, _ = team
    keys = [put(anna, number) for number in range(2)]
    store = ResultStore.of(anna.root)
    whole = store.path(keys[0]).read_text()
    store.path(keys[0]).write_text(whole[:30])
    done = sharing.push(anna)
    assert done.copied == 1
    assert keys[0] in done.problems[0]
    assert sharing.pull(anna).problems == done.problems
    store.path(keys[0]).write_text(whole)
    sharing.push(anna)
    store.path(keys[0]).write_text(whole[:30])
    done = sharing.pull(anna)
    assert (done.copied, done.problems) == (1, [])
    assert store.path(keys[0]).read_text() == whole
    assert store.path(keys[0]).with_name(f"{keys[0]}.json.damaged").read_text() == whole[:30]


def test_what_failed_on_the_way_is_told_and_copied_the_next_time(
    team: tuple[Paths, Paths], monkeypatch: pytest.MonkeyPatch
):
    anna, ben = team
    for number in range(40):
        put(anna, number)
    whole = Remote.write
    left = iter(range(10))

    def flaky(self: Remote, entry: tuple[str, str], file: bytes) -> None:
        if next(left, None) is None:
            raise ConnectionResetError("Connection lost")
        whole(self, entry, file)

    with monkeypatch.context() as context:
        context.setattr(Remote, "write", flaky)
        done = sharing.push(anna)
    assert done.copied == 10
    assert done.problems == ["30 results could not be copied (it ends connections without an answer): push again."]
    assert sharing.push(anna).copied == 30
    assert sharing.pull(ben).copied == 40


def test_a_remote_that_cannot_be_written_is_one_sentence_and_can_be_pulled_from(
    team: tuple[Paths, Paths], monkeypatch: pytest.MonkeyPatch
):
    anna, ben = team
    put(anna, 0)
    sharing.push(anna)
    for number in range(100):
        put(ben, number, 80.0)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    whole = Remote.__init__
    for name in ("open", "makedirs"):

        def read_only(self: Remote, root: Path, remote: str | None, name: str = name) -> None:
            whole(self, root, remote)
            setattr(self.fs, name, refuse)

        monkeypatch.setattr(Remote, "__init__", read_only)
        result = call(ben, monkeypatch, "push")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1] == (
            "analognas: The DVC remote 'team' cannot be written: permission denied; "
            "ask its owner for write access, or free space."
        )
    assert sharing.pull(ben).copied == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_can_be_pulled_from(team: tuple[Paths, Paths], tmp_path: Path):
    anna, ben = team
    put(anna, 0)
    put(ben, 1)
    sharing.push(anna)
    folder = tmp_path / "remote" / "analognas" / "results"
    folder.chmod(0o555)
    try:
        assert sharing.pull(ben).copied == 1
        with pytest.raises(SharingError, match="cannot be written: permission denied"):
            sharing.push(ben)
    finally:
        folder.chmod(0o755)


def test_without_a_usable_remote_the_remedy_is_named(
    team: tuple[Paths, Paths], point_to: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    anna, _ = team
    result = call(anna, monkeypatch, "push", "--remote", "nope")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "There is no DVC remote 'nope' (known: team)" in result.stderr
    config = anna.root / ".dvc" / "config.local"
    config.write_text(f'[remote "away"]\n    url = {tmp_path}\n')
    with pytest.raises(NoRemoteError, match=r"--remote \(away\)"):
        sharing.pull(anna)
    config.write_text('[remote "away"]\n    url = gopher://somewhere\n')
    with pytest.raises(WorkspaceError, match="Unsupported URL type gopher"):
        sharing.pull(anna, "away")
    config.write_text('[remote "away"]\n    url = https://localhost/somewhere\n')
    with pytest.raises(WorkspaceError, match="cannot hold results"):
        sharing.pull(anna, "away")
    config.unlink()
    result = call(anna, monkeypatch, "pull")
    assert result.exit_code == 2
    assert "`dvc remote add -d team ssh://HOST/FOLDER`" in result.stderr
    assert sharing.refresh(anna) is None
    (tmp_path / "file").write_text("")
    point_to(anna, str(tmp_path / "file"))
    put(anna, 0)
    assert call(anna, monkeypatch, "push").exit_code == 1
    shutil.rmtree(anna.root / ".dvc")
    result = call(anna, monkeypatch, "push")
    assert result.exit_code == 2
    assert "`dvc init`" in result.stderr
    assert sharing.refresh(anna) is None
    monkeypatch.setattr("analognas.versioning.repository.importlib.util.find_spec", lambda name: None)
    assert "pip install dvc" in call(anna, monkeypatch, "push").stderr


def test_a_package_that_a_remote_needs_is_named(team: tuple[Paths, Paths], point_to: Callable[..., None]):
    if importlib.util.find_spec("dvc_s3") is None:
        point_to(team[0], "s3://bucket/folder")
        with pytest.raises(WorkspaceError, match="pip install 'dvc-s3'"):
            sharing.push(team[0])
    if importlib.util.find_spec("dvc_ssh") is None:
        point_to(team[0], "ssh://somewhere/folder")
        with pytest.raises(WorkspaceError, match=r"pip install 'analognas\[ssh\]'"):
            sharing.push(team[0])


def test_refresh_takes_results_only_and_says_what_went_wrong(team: tuple[Paths, Paths], tmp_path: Path):
    anna, ben = team
    for number in range(2):
        put(anna, number)
    sharing.push(anna)
    remote_files(tmp_path)[0].write_text("")
    assert "Not all shared results" in str(sharing.refresh(ben))
    shutil.rmtree(tmp_path / "remote" / "analognas")
    (tmp_path / "remote" / "analognas").write_text("")
    assert "Shared results were not fetched" in str(sharing.refresh(ben))


def test_what_dvc_has_recorded_travels_and_nothing_unsaved_is_overwritten(
    team: tuple[Paths, Paths], monkeypatch: pytest.MonkeyPatch, another_run: Callable[..., Any]
):
    anna, ben = team
    versioning = Versioning(anna.root)
    put_data(anna, "abc")
    versioning.commit("sample")  # `fit` has not run: what is there travels all the same
    put(anna, 0)
    assert call(anna, monkeypatch, "push").stdout.endswith("Data: 1 file pushed.\n")
    shutil.copy(anna.root / "dvc.lock", ben.root)
    put(ben, 1)
    put_data(ben, "mine")
    result = call(ben, monkeypatch, "pull")
    assert result.exit_code == 1
    assert "would be overwritten (data/architectures)" in result.stderr
    assert result.stdout.startswith("Pulled 1 result from team")
    assert (ben.root / "data" / "architectures").read_text() == "mine"
    (ben.root / "data" / "architectures").unlink()
    result = call(ben, monkeypatch, "pull", "--json")
    assert (result.exit_code, json.loads(result.stdout)["data"]) == (0, "Data: 1 output taken.")
    assert (ben.root / "data" / "architectures").read_text() == "abc"
    put_data(anna, "abcd")
    versioning.commit("sample")
    shutil.copy(anna.root / "dvc.lock", ben.root)
    done = sharing.pull(ben)  # it was not pushed
    assert "whoever recorded them has to push them first" in done.problems[0]
    assert (ben.root / "data" / "architectures").read_text() == "abc"
    sharing.push(anna)
    with another_run(ben):
        done = sharing.pull(ben)
    assert done.problems == [
        f"No data was taken: Another run works in {ben.root}: wait for its end, then run again."
    ]  # fmt: skip
    assert (ben.root / "data" / "architectures").read_text() == "abc"
    assert sharing.pull(ben).problems == []
    assert (ben.root / "data" / "architectures").read_text() == "abcd"


_SLOW = """
import sys, time
from pathlib import Path
import dvc_objects.fs.local as local
from analognas import results
from analognas.versioning import sharing
from analognas.workspace import Paths

def slowed(whole):
    return lambda *args, **more: (time.sleep(0.02), whole(*args, **more))[1]

local.FsspecLocalFileSystem.mv = slowed(local.FsspecLocalFileSystem.mv)
results.ResultStore._create = slowed(results.ResultStore._create)
getattr(sharing, sys.argv[1])(Paths(Path(sys.argv[2])))
"""


def kill_in_the_middle(direction: str, paths: Paths, folder: Path, pattern: str) -> int:
    """Start a slow push or pull, end it by SIGKILL after 50 files, return how many arrived."""
    process = subprocess.Popen([sys.executable, "-c", _SLOW, direction, str(paths.root)])
    until = time.monotonic() + 60
    while time.monotonic() < until and len(list(folder.glob(pattern))) < 50:
        time.sleep(0.01)
    process.kill()
    process.wait()
    arrived = len(list(folder.glob(pattern)))
    assert 50 <= arrived < 400
    return arrived


def test_what_is_killed_leaves_nothing_half_and_is_gone_on_with(team: tuple[Paths, Paths], tmp_path: Path):
    anna, ben = team
    for number in range(400):
        put(anna, number)
    pushed = kill_in_the_middle("push", anna, tmp_path / "remote" / "analognas" / "results", "[0-9a-f]*.json")
    done = sharing.pull(ben)
    assert (done.copied, done.problems) == (pushed, [])
    assert sharing.push(anna).copied == 400 - pushed
    shutil.rmtree(ResultStore.of(ben.root).root)
    pulled = kill_in_the_middle("pull", ben, ResultStore.of(ben.root).root, "[0-9a-f]*/*.json")
    done = sharing.pull(ben)
    assert (done.copied, done.problems) == (400 - pulled, [])
    assert content(ResultStore.of(anna.root)) == content(ResultStore.of(ben.root))


def test_results_of_one_key_that_arrive_side_by_side_are_all_kept(tmp_path: Path):
    rivals = [record(0, float(accuracy)) for accuracy in range(24)]
    key = result_key(inputs(0))
    for attempt in range(5):
        store = ResultStore(tmp_path / str(attempt))
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(store.take, random.Random(attempt).sample(rivals, len(rivals)) + rivals))
        first, *others = sorted(one["digest"] for one in rivals)
        assert store.record(key)["digest"] == first
        assert [found for _, found in store.replicates()] == others
        assert (outcomes.count("new"), outcomes.count("known")) == (1, 24)
