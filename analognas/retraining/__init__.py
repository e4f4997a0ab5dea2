"""The evaluator of a workspace retrained: whether it needs that, rounds of architectures, the decision.

Plain functions on the files of a workspace, as the stages are; ``analognas.orchestration.retraining`` drives them.
"""

from __future__ import annotations

from analognas.retraining.need import Need, assess
from analognas.retraining.steps import challenge, conclude, draw_sentinel, open_round
from analognas.retraining.workbench import Workbench

__all__ = ["Need", "Workbench", "assess", "challenge", "conclude", "draw_sentinel", "open_round"]
