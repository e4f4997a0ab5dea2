from types import SimpleNamespace

import pytest

from analognas.cli import progress as console
from analognas.cli.progress import PipelineProgress, StageProgress, efforts
from analognas.params import Params
from analognas.stages import STAGES


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands until a test moves it."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def effort(stage: str, **sections: dict) -> float:
    return efforts(Params.validated({"run": {"workers": 1}} | sections))[stage]


def test_workers_share_the_characterizations_and_at_most_two_the_training():
    assert effort("characterize", run={"workers": 4}) == pytest.approx(effort("characterize") / 4)
    assert effort("train", run={"workers": 4}) == pytest.approx(effort("train") / 2)
    assert effort("characterize", run={"workers": 4, "runner": "serial"}) == effort("characterize")


@pytest.mark.parametrize(
    ("section", "name", "less", "more"),
    [
        ("sample", "size", 10, 20),
        ("characterize", "epochs", 10, 20),
        ("characterize", "hwa_epochs", 10, 20),
        ("characterize", "repeats", 10, 20),
        ("hardware", "layers", "fast", "aihwkit"),
    ],
)
def test_what_takes_longer_is_more_effort(section: str, name: str, less: object, more: object):
    assert effort("characterize", **{section: {name: more}}) > effort("characterize", **{section: {name: less}})


def test_a_stage_is_told_once_when_it_is_finished(clock: SimpleNamespace, capsys: pytest.CaptureFixture):
    with PipelineProgress(Params()) as progress:
        progress.update("sample", 0, 5, "sampling")
        progress.update("sample", 5, 5, "5 [architectures]")
        progress.update("sample", 5, 5, "again")
    assert capsys.readouterr() == ("", "sample: 5 [architectures]\n")


@pytest.mark.parametrize(("passed", "done", "left"), [(60, 5, "1 min 00 s"), (20, 5, "20 s"), (20, 1, "3 min 00 s")])
def test_the_time_left_is_for_what_is_left_at_the_pace_since_the_first_progress(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture, passed: float, done: int, left: str
):
    progress = PipelineProgress(Params())
    clock.seconds = 1_000
    for stage in set(STAGES) - {"characterize"}:
        progress.update(stage, 1, 1, "up to date")
    progress.update("characterize", 0, 10, "characterizing")
    clock.seconds += passed
    progress.update("characterize", done, 10, "on it")
    assert capsys.readouterr().err.splitlines()[-1] == f"characterize: on it ({10 * done} %, about {left} left)"


def test_without_a_terminal_there_is_a_line_now_and_then(clock: SimpleNamespace, capsys: pytest.CaptureFixture):
    progress = PipelineProgress(Params())
    for second in range(100):
        clock.seconds = second
        progress.update("fit", second, 100, "fitting")
    assert 1 < len(capsys.readouterr().err.splitlines()) < 20


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_there_is_a_bar_which_goes_even_if_the_run_fails(capsys: pytest.CaptureFixture):
    def run() -> None:
        with PipelineProgress(Params()) as progress:
            progress.update("fit", 1, 2, "writing the evaluator")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        run()
    shown = capsys.readouterr().err
    assert "writing the evaluator" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_a_single_stage_tells_what_is_new_and_keeps_standard_output_clean(capsys: pytest.CaptureFixture):
    with StageProgress("fit") as progress:
        for done, detail in ((0, "begun"), (1, "one"), (2, "one"), (3, "other")):
            progress.update(done, 3, detail)
    assert capsys.readouterr() == ("", "fit 1/3: one\nfit 3/3: other\n")


@pytest.mark.usefixtures("terminal")
def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture):
    with PipelineProgress(Params(), visible=False) as pipeline, StageProgress("fit", visible=False) as stage:
        pipeline.update("fit", 1, 1, "fitted")
        stage.update(1, 1, "fitted")
    assert capsys.readouterr() == ("", "")
