from __future__ import annotations

from typing import Any

from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.testing.spaces import SpaceConformance


class TestResNet(SpaceConformance):
    def make(self, **how: Any) -> ConfigSpace:
        return ConfigSpace("digits", **how)


class TestCells(SpaceConformance):
    def make(self, **how: Any) -> ConfigSpace:
        return NASBench201Space(**how)


class TestCellsOfSeveralSizes(SpaceConformance):
    def make(self, **how: Any) -> ConfigSpace:
        return NASBench201Space("digits", channels=[2, 6], cells=[1, 2], **how)
