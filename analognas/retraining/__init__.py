"""The evaluator of a workspace retrained: whether it needs that, rounds of architectures, the decision.

Plain functions on the files of a workspace, as the stages are; ``analognas.orchestration.retraining`` drives them.
"""

from __future__ import annotations

from analognas.retraining.need import Need, assess, newest_accepted, promised
from analognas.retraining.steps import challenge, conclude, draw_sentinel, open_round, reopen
from analognas.retraining.workbench import Workbench

__all__ = [
    "Need",
    "Workbench",
    "assess",
    "challenge",
    "conclude",
    "draw_sentinel",
    "newest_accepted",
    "open_round",
    "promised",
    "reopen",
]
