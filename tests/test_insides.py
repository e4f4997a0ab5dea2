"""What is taken from inside of other tools is still there, and is taken in one file of each tool."""

import ast
import re
from importlib import import_module
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

#: By package: the file that looks inside, and what it takes there.
INSIDES: dict[str, tuple[str, list[str]]] = {
    "dvc": (
        "analognas/versioning/dvc_inside.py",
        [
            "dvc.config:NoRemoteError", "dvc.config:RemoteNotFoundError", "dvc.exceptions:DvcException",
            "dvc.repo:Repo.index", "dvc.data_cloud:DataCloud.get_remote",
            "dvc.output:Output.cache",
            "dvc.dirs:site_cache_dir", "dvc_data.hashfile.db:HashFileDB.oid_to_path",
        ],
    ),
    "dvc-objects": (
        "analognas/versioning/dvc_inside.py",
        [
            "dvc_objects.executors:ThreadPoolExecutor.imap_unordered", "dvc_objects.fs.base:ObjectFileSystem",
            "dvc_objects.fs.base:FileSystem.CAN_TRAVERSE",
            "dvc_objects.fs.errors:RemoteMissingDepsError",
        ],
    ),
    "prefect": (
        "analognas/orchestration/prefect_inside.py",
        [
            "prefect.server.api.server:SubprocessASGIServer._run_uvicorn_command",
            "prefect.server.api.server:SubprocessASGIServer.stop", "prefect.events.worker:EventsWorker.drain_all",
            "prefect._internal.concurrency.services:_active_services", "prefect.client.orchestration:get_client",
            "prefect.client.schemas.actions:ArtifactUpdate", "prefect.server.schemas.schedules:CronSchedule.get_dates",
            "prefect._vendor.croniter:CroniterBadDateError",
            "prefect.client.base:PrefectHttpxAsyncClient._send_with_retry",
            "prefect.client.base:PrefectHttpxSyncClient._send_with_retry",
        ],
    ),
    "mlflow": (
        "analognas/tracking/moved.py",
        [
            "mlflow.store.tracking.dbmodels.models:SqlExperiment.artifact_location",
            "mlflow.store.tracking.dbmodels.models:SqlRun.artifact_uri",
            "mlflow.store.tracking.dbmodels.models:SqlTag.run_uuid",
            "mlflow.store.tracking.dbmodels.models:SqlLoggedModel.artifact_location",
            "mlflow.store.model_registry.dbmodels.models:SqlModelVersion.storage_location",
        ],
    ),
    "numba": (
        "analognas/hardware/vectors.py",
        ["numba.core.config:CPU_FEATURES", "numba.core.cgutils:alloca_once", "numba.core.cgutils:for_range"],
    ),
    "optuna": (
        "analognas/search_algorithms/_gp.py",
        [
            "optuna.samplers:GPSampler._optimize_acqf", "optuna._gp.acqf:BaseAcquisitionFunc.eval_acqf_no_grad",
            "optuna._gp.search_space:SearchSpace.get_normalized_params",
        ],
    ),
}  # fmt: skip

#: What belongs to aihwkit is everywhere in these rooms: its version is pinned exactly.
_PINNED = "aihwkit"


@pytest.mark.parametrize(
    ("package", "file", "where"), [(name, file, where) for name, (file, all_) in INSIDES.items() for where in all_]
)
def test_what_is_taken_from_inside_is_still_there(package: str, file: str, where: str):
    module, _, path = where.partition(":")
    try:
        found = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{package} {version(package)} has no {where} any more ({error}): mend {file}, or bound {package}.")


@pytest.mark.parametrize("package", INSIDES)
def test_what_is_looked_into_has_an_upper_bound(package: str):
    needed = {one.name: one.specifier for one in map(Requirement, requires("analognas") or ())}
    bound = needed.get(package)
    assert bound is not None, f"{package} is looked into, but pyproject.toml does not name it"
    assert any(one.operator in ("<", "==", "~=") for one in bound), f"pyproject.toml does not bound {package}"


def test_python_s_own_pool_is_as_we_know_it():
    from analognas.stages import processes

    pool = processes.start(1)
    try:
        assert pool.submit(abs, -1).result() == 1
        taken = {"_result_queue": pool, "_processes": pool, "_writer": getattr(pool, "_result_queue", None)}
        missing = [name for name, owner in taken.items() if not hasattr(owner, name)]
        assert not missing, f"this Python's ProcessPoolExecutor has no {missing[0]}: mend stages/processes.py"
    finally:
        processes.end(pool)


def _private_uses(path: Path) -> list[str]:
    """Return the modules of other packages that a file imports and whose names say that they are private."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [name for name in names if re.search(r"\._[a-z]", name) and not name.startswith("analognas")]
    return found


def test_private_modules_of_others_are_imported_in_one_file_of_each():
    files = {file for file, _ in INSIDES.values()}
    for path in sorted((ROOT / "analognas").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        taken = [one for one in _private_uses(path) if not one.startswith(_PINNED)]
        assert not taken or name in files, f"{name} imports {taken[0]}, which is private: move that to its adapter"
