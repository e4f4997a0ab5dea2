"""The five stages: plain functions ``run(params, paths, progress) -> summary``.

A stage knows nothing of Prefect, DVC or MLflow, reads and writes only what ``dvc.yaml`` declares for it (and the
result store), and gives the same bytes for the same parameters and seed, however many workers ran.
"""

from __future__ import annotations

from analognas.progress import Progress, silent
from analognas.stages.protocols import PROTOCOLS, STAGES
from analognas.stages.running import run_stage

__all__ = ["PROTOCOLS", "STAGES", "Progress", "run_stage", "silent"]
