"""The command line. Exit codes: 0 done, 1 failed, 2 bad input (one sentence, nothing touched).

Commands import what they need when they are called, so that ``analognas --help`` is quick.
"""

from __future__ import annotations

from analognas.cli import (
    datasets,
    doctor,
    explaining,
    listings,
    measuring,
    pipeline,
    retraining,
    runs,
    sharing,
    winner,
    workspaces,
)
from analognas.cli.group import main

__all__ = ["main"]

for command in (
    pipeline.run,
    pipeline.search,
    pipeline.stage,
    pipeline.report,
    runs.runs,
    runs.compare,
    runs.restore,
    runs.sweep,
    explaining.explain,
    winner.predict,
    winner.export,
    measuring.measure,
    retraining.retrain,
    retraining.serve,
    retraining.champion,
    retraining.track,
    sharing.push,
    sharing.pull,
    sharing.merge,
    workspaces.init,
    doctor.doctor,
    datasets.datasets,
    listings.hardware,
    listings.spaces,
):
    main.add_command(command)
