"""The stages: their names in order, and the version of what each does."""

from __future__ import annotations

#: The version of what each stage does. Whoever changes a stage's outputs raises its number (a test notices).
PROTOCOLS = {"sample": 3, "characterize": 6, "fit": 3, "search": 4, "train": 10}

#: The names of the stages, in order.
STAGES = tuple(PROTOCOLS)

#: What stands before them in ``dvc.yaml``: it records the data and the versions (``setup.preparing``).
RECORD = "record"
