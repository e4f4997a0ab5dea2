import os
import time

import numpy as np
import pytest

from analognas.datasets import cache


def test_what_is_written_is_read():
    arrays = {"x": np.arange(6, dtype=np.uint8).reshape(2, 3), "n": np.asarray(4)}
    cache.write("key", arrays)
    stored = cache.read("key")
    np.testing.assert_array_equal(stored["x"], arrays["x"])
    assert stored["x"].dtype == np.uint8
    assert int(stored["n"]) == 4
    assert cache.read("other") is None


def test_a_damaged_file_is_not_used(cache_folder):
    cache.write("key", {"x": np.zeros(10_000, dtype=np.uint8)})
    (file,) = (cache_folder / "decoded").iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:5000], whole[:5000] + b"\x01" + whole[5001:], b"", b"no archive"):
        file.write_bytes(damaged)
        assert cache.read("key") is None


def test_objects_are_not_unpickled(cache_folder):
    cache_file = cache_folder / "decoded" / "key.npz"
    cache_file.parent.mkdir(parents=True)
    np.savez(cache_file, x=np.array([{}], dtype=object))
    assert cache.read("key") is None


def test_a_folder_that_cannot_be_written_is_a_warning(cache_folder):
    cache_folder.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="cannot be written .* set ANALOGNAS_DATA"):
        cache.write("key", {"x": np.zeros(1)})


def test_a_failed_write_leaves_nothing_behind(cache_folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.write("key", {"x": np.zeros(1)})
    assert list((cache_folder / "decoded").iterdir()) == []


def test_an_interrupted_write_leaves_nothing_behind(cache_folder, monkeypatch):
    def interrupt(file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.write("key", {"x": np.zeros(1)})
    assert list((cache_folder / "decoded").iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_day(cache_folder):
    cache.write("key", {"x": np.zeros(1)})
    now = time.time()
    for name, hours in (("old", 25), ("in-progress", 23)):
        file = cache_folder / "decoded" / f"{name}.0123.tmp"
        file.write_bytes(b"half")
        os.utime(file, (now - hours * 3600,) * 2)
    cache.write("key", {"x": np.zeros(1)})
    assert {path.name for path in (cache_folder / "decoded").iterdir()} == {"key.npz", "in-progress.0123.tmp"}


def test_only_the_newest_are_kept(cache_folder):
    for number in range(cache.KEEP + 2):
        cache.write(str(number), {"x": np.zeros(1)})
        os.utime(cache_folder / "decoded" / f"{number}.npz", (number, number))
    left = {path.stem for path in (cache_folder / "decoded").iterdir()}
    assert left == {str(number) for number in range(2, cache.KEEP + 2)}


def test_fingerprint_takes_any_file_name():
    assert cache.fingerprint("a\udcff") != cache.fingerprint("a")


def test_file_state_sees_a_change_behind_an_unchanged_time(tmp_path):
    file = tmp_path / "image"
    file.write_bytes(b"1")
    os.utime(file, ns=(1, 1))
    before = cache.file_state(file.stat())
    file.write_bytes(b"2")
    os.utime(file, ns=(1, 1))
    assert cache.file_state(file.stat()) != before
