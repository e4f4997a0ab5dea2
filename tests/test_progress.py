import inspect
from importlib import import_module

import pytest

from analognas.progress import silent
from analognas.stages.protocols import STAGES


def test_silence_says_nothing(capfd: pytest.CaptureFixture[str]):
    assert silent(1, 2, "half of it") is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "path",
    [
        *(f"stages.{stage}:run" for stage in STAGES), "versioning.sharing:push", "versioning.sharing:pull",
        "orchestration.promotion:roll_back", "retraining.proposing:run_closed_loop",
    ],
)  # fmt: skip
def test_who_does_not_ask_is_told_nothing(path: str):
    module, _, name = path.partition(":")
    function = getattr(import_module(f"analognas.{module}"), name)
    assert inspect.signature(function).parameters["progress"].default is silent
