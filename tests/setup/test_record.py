from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import ParamsError
from analognas.params import Params
from analognas.params.file import Draft, override
from analognas.setup.record import (
    _BEGIN,
    _END,
    Choice,
    Record,
    default,
    put_into,
    read_record,
    with_values,
    written_by_user,
)
from analognas.setup.template import source

CHOICES = (
    Choice("sample.size", 24, "architectures to characterize"),
    Choice("characterize.epochs", 9, "digital"),
    Choice("search.min_acc_1d", 33.3, "of always answering the largest class"),
    Choice("search.T_AVM", None, "no limit until you know what your networks lose; then e.g. 5.0, and run again"),
    Choice("train.hwa_learning_rate", 0.01, "peak, hardware-aware"),
)
LINES = ("Data: 3 classes.", "Time: an hour.")


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((source() / "params.yaml").read_text())
    return path


def write(path: Path, *given: Any) -> None:
    draft = Draft(path)
    put_into(draft, *given)
    draft.save()


def fit(path: Path, hours: float = 2.0, kept: tuple[str, ...] = ()) -> None:
    write(path, CHOICES, LINES, hours, kept)


def test_every_choice_is_written_with_its_reason_and_all_else_stays(params_file: Path) -> None:
    before = params_file.read_text()
    fit(params_file)
    text = params_file.read_text()
    written = Params.load(params_file)
    for choice in CHOICES:
        section, _, name = choice.key.partition(".")
        assert re.search(rf"^  {name}: \S+ +# {re.escape(choice.why)}$", text, flags=re.MULTILINE), choice
        assert getattr(getattr(written, section), name) == choice.value
    # Other lines, blank ones between sections included, are those of the template.
    kept = text[text.index(_END) :].splitlines()[2:]
    names = {choice.key.partition(".")[2] for choice in CHOICES}
    changed = [old for old, new in zip(before.splitlines(), kept, strict=True) if old != new]
    assert {line.partition(":")[0].strip() for line in changed} <= names
    assert all(f"# {line}" in text for line in LINES)
    assert max(len(line) for line in text[: text.index(_END)].splitlines()) <= 120


def test_fitting_again_replaces_what_was_said_before(params_file: Path) -> None:
    fit(params_file, hours=8.0)
    write(params_file, CHOICES, ["Data: others."], 4.0)
    once = params_file.read_text()
    assert once.count(_BEGIN) == once.count(_END) == 1
    assert "Data: others." in once
    assert "Time: an hour." not in once
    write(params_file, CHOICES, ["Data: others."], 4.0)
    assert params_file.read_text() == once


def test_a_line_without_a_comment_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("sample:\n  size: 3\n\nfit:\n  folds: 4\n")
    write(path, (Choice("sample.size", 24, "why"), Choice("train.epochs", 5, "because")), (), 1.0)
    text = path.read_text()
    assert re.search(r"^  size: 24 +# why$\n\nfit:", text, flags=re.MULTILINE)
    assert re.search(r"^  epochs: 5 +# because$", text, flags=re.MULTILINE)


def test_the_record_is_read_as_it_was_written(params_file: Path) -> None:
    assert read_record(params_file) is None
    fit(params_file, hours=0.25, kept=("train.epochs", "characterize.batch_size"))
    values = {choice.key: choice.value for choice in CHOICES}
    assert read_record(params_file) == Record(0.25, values, ("characterize.batch_size", "train.epochs"))
    override(params_file, ["search.k=2"])  # a file like any other
    assert read_record(params_file) == Record(0.25, values, ("characterize.batch_size", "train.epochs"))


@pytest.mark.parametrize("edit", [("values: {", "values: "), ("  hours: 2", "  ours: 2"), ("hours: 2", "hours: many")])
def test_a_record_that_was_edited_beyond_recognition_is_none(params_file: Path, edit: tuple[str, str]) -> None:
    fit(params_file)
    params_file.write_text(params_file.read_text().replace(*edit))
    assert read_record(params_file) is None


def test_what_is_no_longer_as_it_was_fitted_is_the_users(params_file: Path) -> None:
    override(params_file, ["search.k=2"])
    fit(params_file, kept=("train.epochs",))
    record = read_record(params_file)
    # search.k was written by the user; train.epochs was, says the record, though it is the default.
    assert written_by_user(params_file, record) == {"search.k", "train.epochs"}
    override(params_file, ["characterize.epochs=10", "search.T_AVM=5.0", "fit.folds=3"])
    edited = {"characterize.epochs", "search.T_AVM", "fit.folds"}  # 5.0 is the default: it was written all the same
    assert written_by_user(params_file, record) == {"search.k", "train.epochs", *edited}
    # Without its record all that is no default is the user's.
    text = params_file.read_text()
    params_file.write_text(text[text.index(_END) :])
    assert read_record(params_file) is None
    fitted_keys = {"sample.size", "search.min_acc_1d", "train.hwa_learning_rate"}
    assert written_by_user(params_file, None) == {"search.k", "characterize.epochs", "fit.folds", *fitted_keys}


def test_what_does_not_stand_in_the_file_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("hardware: analognas-512\nsearch:\n  k: 2\n")
    record = Record(1.0, {"sample.size": 24, "search.T_AVM": None}, ("train.epochs",))
    assert written_by_user(path, record) == {"hardware.rpu_config", "search.k"}
    path.write_text("")
    assert written_by_user(path, record) == set()


def test_values_are_exchanged_and_validated() -> None:
    params = with_values(Params(), {"sample.size": 5, "search.T_AVM": None})
    assert (params.sample.size, params.search.T_AVM, params.search.k) == (5, None, 1.0)
    assert default("search.T_AVM") == 5.0
    with pytest.raises(ParamsError, match=r"sample\.size"):
        with_values(Params(), {"sample.size": 0})
