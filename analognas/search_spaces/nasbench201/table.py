"""AnalogNAS-Bench: the published table of all 15,625 NAS-Bench-201 cells on analog hardware (arXiv 2506.18495).

It comes with the package ``analog-nasbench`` as a pickle, which is a program that may call any function. Here it is
read without running anything, once: afterwards a parquet file in the cache folder is used.

What its numbers are (found in the benchmark's script and data): one training and, it seems, one programming per cell;
``acc_*`` are means and ``*_std`` standard deviations of 25 reads of that programming, so they do not hold the
luck of training and programming. Test images are cropped and flipped at random. Its AVM starts at 60 s. Where an
accuracy cannot be true (:func:`doubtful`), there is no AVM.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analognas.causes import wrong
from analognas.columns import TEXT, TRUTH, WHOLE, Column, Table
from analognas.errors import AnalogNASWarning, ContentError, CorruptFileError, DatasetError, SpaceError, WorkspaceError
from analognas.files import cache_folder, read_parquet, told, write_parquet
from analognas.search_spaces.nasbench201.family import EDGE_GENES, NASBench201Space, cell_of

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture

PACKAGE, FILE = "analog-nasbench", "analognasbench/data.anb"

#: SHA-256 of the table in version 0.1.3 of the package.
DIGEST = "85f3435b877aa2d36268d55ce07f6ff6d73643d17a840f1941745da5eb80db32"

#: Attributes of the records by the names used here, accuracies in percent; drift columns also have ``_std``.
COLUMNS = {
    "acc_digital": "baseline_accuracy",
    "acc_ptq": "ptq_accuracy",
    "acc_qat": "qat_accuracy",
    "acc_noisy": "noisy_accuracy",
    "acc_hwa": "analog_accuracy",
    "acc_60s": "analog_drift_60",
    "acc_1h": "analog_drift_3600",
    "acc_1d": "analog_drift_86400",
    "acc_30d": "analog_drift_2592000",
    # The same without hardware-aware training.
    "digital_acc_60s": "baseline_drift_60",
    "digital_acc_1h": "baseline_drift_3600",
    "digital_acc_1d": "baseline_drift_86400",
    "digital_acc_30d": "baseline_drift_2592000",
}

#: What is kept of the table between processes.
TABLE = Table(
    "table of AnalogNAS-Bench",
    (
        *(Column(name, TEXT, pattern="[0-9a-f]{16}") for name in ("id", "function_id")),
        *(Column(gene, WHOLE, least=0, most=4) for gene in EDGE_GENES),
        *(Column(name, least=0.0, most=100.0) for name in COLUMNS),
        Column("avm", least=-100.0, most=100.0, missing=True),
        Column("doubtful", TRUTH),
    ),
    closed=True,
)

_INPUTS = ((3, 32, 32), 10)
#: Of how the table is read: it is part of what decides a looked-up result.
VERSION = 2
#: Accuracies of the hardware-aware network on programmed devices.
_ON_CHIP = ("acc_60s", "acc_1h", "acc_1d", "acc_30d")
_TEST_IMAGES, _STANDARD_ERRORS = 10_000, 5.0
_MODULE = "analognasbench.data"
_INSTALL = "pip install 'analognas[bench]'"


class AnalogNASBench:
    """The table, as something to ask for results.

    Args:
        path: the file ``data.anb``; None: that of the installed package.

    Attributes:
        digest: SHA-256 of the file.
        protocol, dataset, hardware: ids of what was measured; they are no other results' ids.
        reading: of how the file is read; who keeps results of it keeps this with them.

    Raises:
        DatasetError: if the package is not installed, or the file is not the known one.
    """

    protocol = "analognas-bench-0.1.3"
    dataset = "cifar10-analognas-bench"
    hardware = "analognas-bench"
    reading = VERSION

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = _installed() if path is None else Path(path)
        self._data = _read(self.path)
        self.digest = hashlib.sha256(self._data).hexdigest()
        if self.digest != DIGEST:
            raise DatasetError(
                f"{self.path} is not the table of {PACKAGE} 0.1.3 (its SHA-256 is {self.digest[:12]}...): install it "
                f"again, {_INSTALL}."
            )

    @cached_property
    def table(self) -> pd.DataFrame:
        """The whole table, one row per cell: ``id``, ``function_id``, the six genes, and accuracies in percent."""
        cached = _cached(self.digest)
        try:
            frame = read_parquet(cached, remedy="")
            whole = TABLE.problem(frame) is None
        except (CorruptFileError, WorkspaceError):
            whole = False
        if not whole:
            frame = _with_ids(loads(self._data))
            _keep(frame, cached)
        return frame

    @cached_property
    def _rows(self) -> pd.DataFrame:
        return self.table.set_index(list(EDGE_GENES))

    def evaluate(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return what was measured of these cells, one row each, in order.

        Returns:
            ``id``, ``function_id``, ``acc_1d``, ``acc_1d_std``, ``avm`` (60 s minus 30 days, percentage points; NaN if
            ``doubtful``), and every other column of the table; percent.

        Raises:
            SpaceError: if an architecture is no cell, or one of another width, depth, input shape or number of classes
                than the published one.
        """
        keys = []
        for architecture in architectures:
            space = architecture.space
            if set(architecture.genes) != set(EDGE_GENES) or (space.input_shape, space.classes) != _INPUTS:
                raise SpaceError(
                    f"Architecture {architecture.id} of {space.name} is not in AnalogNAS-Bench: it has the cells of "
                    "NASBench201Space() in their published width and depth, for 3 x 32 x 32 inputs and 10 classes."
                )
            keys.append(cell_of(architecture.genes))
        rows = self._rows.loc[keys].reset_index(drop=True) if keys else self._rows.iloc[:0].reset_index(drop=True)
        rows["id"] = [architecture.id for architecture in architectures]
        return rows


def loads(data: bytes) -> pd.DataFrame:
    """Return the records of a pickled table, one row each: the six genes and ``COLUMNS``, without running anything.

    Raises:
        DatasetError: if it is damaged or holds anything but the records.
    """
    try:
        records = _Unpickler(io.BytesIO(data)).load()
        frame = pd.DataFrame([_row(cell, record) for cell, record in records.items()])
        frame["doubtful"] = doubtful(frame)
        frame["avm"] = (frame["acc_60s"] - frame["acc_30d"]).mask(frame["doubtful"])
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise DatasetError(
            f"The table of {PACKAGE} is damaged or holds something else ({wrong(error)}): install it again, {_INSTALL}."
        ) from None
    return frame


def doubtful(table: pd.DataFrame) -> pd.Series[bool]:
    """Return of each row whether it says of programmed devices what cannot be.

    Noise and drift take accuracy away: on devices no network is better than a digital one of its architecture, but for
    the noise of two evaluations. Each is on 10,000 test images, so the standard error of their difference is the square
    root of 2 p (1 - p) / 10,000 at digital accuracy p; a row is doubtful if one of its four accuracies stands more than
    five of these above it (by luck: in one of fifty tables of this size). In the published table that is one cell,
    26.7 points above; no other accuracy stands more than 0.17 points above, or half a standard error.
    """
    digital = table["acc_digital"].clip(0.0, 100.0) / 100
    noise = 100 * (2 * digital * (1 - digital) / _TEST_IMAGES) ** 0.5
    highest = table[list(_ON_CHIP)].max(axis=1)
    return highest > table["acc_digital"] + _STANDARD_ERRORS * noise


class _Record:
    """Stands for both of the benchmark's classes: it takes attributes and does nothing."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == _MODULE and name in ("Architecture", "DriftMeasurement"):
            return _Record
        raise ContentError(f"the name {module}.{name}, which the table does not have")


def _row(cell: Any, record: Any) -> dict[str, Any]:
    genes = dict(zip(EDGE_GENES, (int(operation) for operation in cell), strict=True))
    values: dict[str, Any] = {**genes}
    cell_of(genes)
    for name, attribute in COLUMNS.items():
        metric = vars(record)[attribute]
        if isinstance(metric, _Record):
            values[name], values[f"{name}_std"] = float(vars(metric)["value"]), float(vars(metric)["uncertainty"])
        else:
            values[name] = float(metric)
    return values


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    space = NASBench201Space()
    rows = frame[list(EDGE_GENES)].itertuples(index=False)
    cells = [space.architecture(dict(zip(EDGE_GENES, row, strict=True))) for row in rows]
    ids = {"id": [cell.id for cell in cells], "function_id": [cell.function_id for cell in cells]}
    return pd.concat([pd.DataFrame(ids), frame], axis=1)


def _installed() -> Path:
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        raise DatasetError(f"AnalogNAS-Bench is not installed: {_INSTALL}.") from None
    for file in files:
        if str(file) == FILE:
            return Path(str(file.locate()))
    raise DatasetError(f"The package {PACKAGE} has no {FILE}: install it again, {_INSTALL}.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({told(error)}): give the file data.anb, or {_INSTALL}.") from None


def _cached(digest: str) -> Path:
    return cache_folder() / "tables" / f"analognas-bench-{digest[:16]}-{VERSION}.parquet"


def _keep(frame: pd.DataFrame, path: Path) -> None:
    """Keep the table for the next time; a folder that cannot be written only costs time."""
    try:
        write_parquet(path, frame)
    except WorkspaceError as error:
        import warnings

        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        warnings.warn(
            f"The table is not kept, because {path.parent} cannot be written ({reason}): set ANALOGNAS_DATA to "
            "a folder that can, or it is read anew every time.",
            AnalogNASWarning,
            stacklevel=4,
        )
