from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import MismatchError
from analognas.hardware import silence
from analognas.orchestration.clusters.worker import checked, examine, wanted_of
from analognas.stages import characterize


def test_a_worker_refuses_a_job_whose_key_it_would_make_untrue(jobs: list[characterize.Job]):
    job = jobs[0]
    assert checked(lambda one: one.key, job) == job.key
    assert checked(lambda _: silence.is_silent(), job)
    for name, value in (("torch", "0.1"), ("protocol", -1), ("hardware", "another-000000000000")):
        other: Any = SimpleNamespace(hardware=job.hardware, inputs=job.inputs | {name: value})
        with pytest.raises(MismatchError, match=f"has another {name} "):
            checked(lambda one: one, other)


def test_a_worker_with_threads_takes_one_job_at_a_time(jobs: list[characterize.Job]):
    inside, most = 0, 0
    lock = threading.Lock()

    def measure(_: Any) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(checked, measure, jobs[0]) for _ in range(4)]:
            done.result()
    assert most == 1


def test_a_worker_says_what_it_lacks(jobs: list[characterize.Job], tmp_path: Path):
    wanted = wanted_of(jobs)
    assert examine(wanted) == ""
    assert examine(wanted | {"path": str(tmp_path)}) == ""
    assert "has torch" in examine(wanted | {"versions": {"torch": "0.1"}})
    assert "has no module no_such_module" in examine(wanted | {"modules": ["no_such_module.chip"]})
    assert "does not see the dataset at /nowhere" in examine(wanted | {"path": "/nowhere"})


def test_a_module_of_ones_own_and_a_folder_are_wanted_of_the_workers(jobs: list[characterize.Job]):
    job = jobs[0]
    own: Any = SimpleNamespace(
        architecture=SimpleNamespace(space=SimpleNamespace(family="my_space.nets:Family")),
        hardware=SimpleNamespace(rpu_config="my_chip:config"),
        dataset=SimpleNamespace(given=(("name", "image-folder"), ("path", "/data/images"))),
    )
    wanted = wanted_of([own, own])
    assert wanted["modules"] == ["my_chip", "my_space.nets"]
    assert wanted["path"] == "/data/images"
    assert wanted_of([job])["modules"] == []


def test_what_leaves_the_process_needs_only_the_installed_package(jobs: list[characterize.Job], tmp_path: Path):
    sent = [(checked, characterize.measure, jobs[0]), (examine, wanted_of(jobs))]
    (tmp_path / "sent").write_bytes(pickle.dumps(sent))
    code = (
        "import pickle, sys; (checked, measure, job), (examine, wanted) = pickle.load(open('sent', 'rb'))\n"
        "print(checked(lambda one: one.key, job), measure.__module__, repr(examine(wanted)))\n"
        "print([name for name in ('prefect', 'distributed', 'ray', 'mlflow', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{jobs[0].key} analognas.stages.characterize ''", "[]"]
