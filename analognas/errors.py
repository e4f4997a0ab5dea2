"""Every exception that analognas raises on purpose.

``InputError`` and its children are what a user can mend: the command line prints their one sentence and
exits with 2. Everything else that derives from ``AnalogNASError`` exits with 1.
"""

from __future__ import annotations

from typing import Any


class AnalogNASError(Exception):
    """Base of all errors raised by analognas."""

    exit_code = 1

    @property
    def details(self) -> dict[str, Any]:
        """What ``--json`` says besides the message, JSON-serializable."""
        return {}


class InputError(AnalogNASError):
    """Something that was given to analognas is wrong; the message names it and the remedy."""

    exit_code = 2


class ParamsError(InputError):
    """``params.yaml`` or an override has an unknown key or a value out of range."""


class SpaceError(InputError):
    """A configuration space or an architecture is not valid."""


class DatasetError(InputError):
    """A dataset is unknown, missing, damaged or not what was recorded."""


class HardwareError(InputError):
    """A hardware description cannot be used."""


class CorruptFileError(InputError):
    """A stored file is damaged or was written by something else."""


class MismatchError(InputError):
    """An evaluator or a winner is used for another space, dataset, hardware or protocol than its own."""


class TrustError(InputError):
    """A file that may come from elsewhere names code to import, and nobody has said that it may."""


class NotFittedError(InputError):
    """An evaluator is asked before it was fitted."""


class ContentError(AnalogNASError, ValueError):
    """What a file holds is not what it should be; who reads the file says which one it is."""


class WorkspaceError(InputError):
    """The folder is not a workspace, or cannot be written or read."""


class BusyError(WorkspaceError):
    """Another run works in the workspace."""


class HoursError(InputError):
    """No run that is worth its while fits the hours; ``fitted`` describes the shortest one."""

    def __init__(self, message: str, fitted: dict[str, Any]) -> None:
        super().__init__(message)
        self.fitted = fitted

    @property
    def details(self) -> dict[str, Any]:
        """The shortest run, as ``init --json`` describes the one that fits."""
        return {"fitted": self.fitted}


class SearchError(InputError):
    """A search cannot satisfy its constraints."""


class StageError(AnalogNASError):
    """A stage failed for a reason that is not its input."""


class OtherEvaluatorError(StageError):
    """A fit gave another evaluator than the one that was compared with the champion; nothing was written."""


class AnalogNASWarning(UserWarning):
    """Something works, but not as well as it could; the message names it and what it costs."""
