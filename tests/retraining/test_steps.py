from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analognas import retraining
from analognas.errors import OtherEvaluatorError, SpaceError, StageError
from analognas.files import file_digest
from analognas.params import Params
from analognas.params.file import override
from analognas.results import ResultStore
from analognas.retraining import Need, comparing, proposing, steps
from analognas.retraining.workbench import Workbench
from analognas.stages import characterize as stage
from analognas.stages import inputs as stage_inputs
from analognas.stages import run_stage
from analognas.stages.rounds import Entry, Round, read_rounds, read_sentinel, write_round
from analognas.workspace import Paths, round_name

ASKED = Need(("it was asked for",), {"new_rows": 0, "age_days": 3.5})


def rounds(paths: Paths) -> list[Round]:
    return read_rounds(paths, stage_inputs.space(Params.load(paths.params), paths))


def retrain(paths: Paths, formula: Any) -> Round:
    """All steps of the flow, without Prefect."""
    params = Params.load(paths.params)
    retraining.draw_sentinel(retraining.Workbench(params, paths))
    number = retraining.open_round(retraining.Workbench(params, paths), ASKED).number
    formula.all(paths)
    retraining.challenge(retraining.Workbench(params, paths), number)
    decided = retraining.conclude(retraining.Workbench(params, paths), number)
    run_stage("characterize", params, paths)
    if decided.decision == "accepted":
        run_stage("fit", params, paths)
    return decided


def unlisted(paths: Paths, n: int) -> Iterator[stage.Job]:
    """Jobs for architectures that the workspace does not list."""
    params = Params.load(paths.params)
    space = stage_inputs.space(params, paths)
    known = {one.id for one in stage_inputs.architectures(params, paths)}
    others = [one for one in space.sample(40, seed=99, max_params=5000) if one.id not in known][:n]
    write_round(paths, Round(900, tuple(map(Entry, others)), ""))
    jobs = [job for job in stage.jobs(params, paths) if job.architecture in others]
    (paths.rounds / "900.json").unlink()
    yield from jobs


def test_what_others_characterized_counts_and_is_learned_from(retrained: Paths, formula: Any):
    params = Params.load(retrained.params)
    jobs = list(unlisted(retrained, 16))
    for job in jobs:
        stage.store(job, formula(job), retrained)
    other = {**jobs[0].inputs, "seed": 12345}  # measured otherwise: of no use here
    ResultStore.of(retrained.root).put(other, formula(jobs[0]))
    need = retraining.assess(retraining.Workbench(params, retrained))
    assert need.figures["new_rows"] == 16
    assert any("16 new rows" in reason for reason in need.reasons)
    added = retraining.open_round(retraining.Workbench(params, retrained), need)
    shared = {entry.architecture.id for entry in added.entries if entry.reason == "characterized by others"}
    proposed = {entry.architecture.id for entry in added.entries} - shared
    assert shared <= {job.architecture.id for job in jobs}
    assert shared | proposed >= {job.architecture.id for job in jobs}
    assert len(added.entries) == len({entry.architecture.id for entry in added.entries})
    assert added.record["need"]["new_rows"] == 16
    assert "age_days" not in added.record["need"]


def test_the_sentinel_set_is_drawn_once_and_apart(retrained: Paths):
    params = Params.load(retrained.params)
    known = {one.id for one in stage_inputs.architectures(params, retrained)}
    assert retraining.draw_sentinel(retraining.Workbench(params, retrained)) == 24
    before = (retrained.rounds / "sentinel.json").read_bytes()
    ids = {one.id for one in read_sentinel(retrained, stage_inputs.space(params, retrained))}
    assert len(ids) == 24
    assert not ids & known
    params = override(retrained.params, ["retrain.sentinel_size=30"])
    assert retraining.draw_sentinel(retraining.Workbench(params, retrained)) == 24
    assert (retrained.rounds / "sentinel.json").read_bytes() == before
    added = retraining.open_round(retraining.Workbench(params, retrained), ASKED)
    assert not ids & {entry.architecture.id for entry in added.entries}


def test_a_space_without_room_for_a_sentinel_set_is_named(retrained: Paths):
    params = override(retrained.params, ["retrain.sentinel_size=10000", "space.max_params=300"])
    with pytest.raises(SpaceError, match=r"lower retrain\.sentinel_size"):
        retraining.draw_sentinel(retraining.Workbench(params, retrained))
    assert not (retrained.rounds / "sentinel.json").exists()


def test_a_round_that_waits_is_taken_up_and_not_proposed_anew(retrained: Paths, monkeypatch: pytest.MonkeyPatch):
    params = Params.load(retrained.params)
    retraining.draw_sentinel(retraining.Workbench(params, retrained))
    # Killed between the proposal and its record.
    proposing.propose(params, retrained, 3, purpose="retrain", decision="pending", reason="the champion is old")
    need = retraining.assess(retraining.Workbench(params, retrained))
    assert need.anything
    (waiting,) = retrained.rounds.glob("001-*.json")
    assert retrained.round_files()[need.pending] == waiting
    monkeypatch.setattr(proposing, "propose", None)
    first = retraining.open_round(retraining.Workbench(params, retrained), need)
    before = waiting.read_bytes()
    assert len(first.entries) == 3
    assert first.reason == "the champion is old"
    assert retraining.open_round(retraining.Workbench(params, retrained), need) == first
    assert waiting.read_bytes() == before


def test_a_rejected_round_leaves_the_evaluator_and_its_rows_are_tried_again(retrained: Paths, formula: Any):
    formula.all_noise = True
    params = override(retrained.params, ["retrain.round_size=4"])
    before = file_digest(retrained.evaluator)
    first = retrain(retrained, formula)
    assert first.decision == "rejected"
    assert "it may be none" in first.reason
    assert file_digest(retrained.evaluator) == before == first.record["champion"]["digest"]
    assert file_digest(retrained.challenger.evaluator) == first.record["challenger"]["digest"] != before
    # Fitting again gives the champion again: nothing of the round is in it.
    run_stage("fit", params, retrained)
    assert file_digest(retrained.evaluator) == before
    assert retraining.assess(retraining.Workbench(params, retrained)).figures["new_rows"] == 0
    formula.asked.clear()
    second = retraining.open_round(retraining.Workbench(params, retrained), ASKED)
    carried = [
        entry for entry in second.entries if entry.reason == f"carried over from round {round_name(first.number)}"
    ]
    assert {entry.architecture.id for entry in carried} == {entry.architecture.id for entry in first.entries}
    assert len(second.entries) == 8
    formula.all(retrained)
    assert len(formula.asked) == 4  # only what is new


def test_an_accepted_round_changes_the_evaluator_the_same_way_every_time(
    champion: Paths, retrained: Paths, formula: Any, tmp_path: Path
):
    before = file_digest(retrained.evaluator)
    again = Paths(Path(shutil.copytree(champion.root, tmp_path / "again")))
    decided = retrain(retrained, formula)
    assert decided.decision == "accepted", decided.reason
    after = file_digest(retrained.evaluator)
    assert after == decided.record["challenger"]["digest"] != before
    rows = pd.read_parquet(retrained.surrogate)
    assert rows["role"].value_counts().to_dict() == {"round": 30, "sentinel": 24, "sample": 12}
    learned = Workbench(Params.load(retrained.params), retrained).learned
    assert len(learned) == 42
    assert not learned & set(rows.loc[rows["role"] == "sentinel", "id"])

    assert retrain(again, formula) == decided
    assert file_digest(again.evaluator) == after
    note = retrained.round(decided.number).with_suffix(".md")
    for name in (note.with_suffix(".json").name, note.name, "sentinel.json"):
        assert (again.rounds / name).read_bytes() == (retrained.rounds / name).read_bytes()
    text = note.read_text()
    for part in (
        f"# Round {note.stem}: accepted",
        "24 sentinel architectures",
        "12 rows",
        "42 rows",
        "| Kendall tau, AVM |",
    ):
        assert part in text


def test_a_run_that_was_killed_after_an_acceptance_is_finished_and_the_round_can_be_withdrawn(
    retrained: Paths, formula: Any
):
    params = Params.load(retrained.params)
    before = file_digest(retrained.evaluator)
    retraining.draw_sentinel(retraining.Workbench(params, retrained))
    first = retraining.open_round(retraining.Workbench(params, retrained), ASKED)
    formula.all(retrained)
    retraining.challenge(retraining.Workbench(params, retrained), first.number)
    assert retraining.conclude(retraining.Workbench(params, retrained), first.number).decision == "accepted"
    need = retraining.assess(retraining.Workbench(params, retrained))
    assert (need.unfinished, need.reasons, need.anything) == (first.number, (), True)
    for name in ("characterize", "fit"):
        run_stage(name, params, retrained)
    assert not retraining.assess(retraining.Workbench(params, retrained)).anything

    steps.withdraw(retrained, rounds(retrained)[-1], "rolled back")
    for name in ("characterize", "fit"):
        run_stage(name, params, retrained)
    assert file_digest(retrained.evaluator) == before
    name = round_name(first.number)
    note = (retrained.rounds / f"{name}.md").read_text()
    assert note.startswith(f"# Round {name}: rejected\n\nRolled back; before that")
    assert not retraining.assess(retraining.Workbench(params, retrained)).anything
    override(retrained.params, ["retrain.round_size=2"])
    second = retraining.open_round(retraining.Workbench(Params.load(retrained.params), retrained), ASKED)
    assert not {entry.reason for entry in second.entries} & {f"carried over from round {name}"}


def test_too_few_sentinel_rows_decide_nothing(retrained: Paths, formula: Any, monkeypatch: pytest.MonkeyPatch):
    params = override(retrained.params, ["retrain.round_size=2", "retrain.sentinel_size=10"])
    monkeypatch.setattr(comparing, "LEAST", 11)  # as if one of eleven had diverged
    retraining.draw_sentinel(retraining.Workbench(params, retrained))
    opened = retraining.open_round(retraining.Workbench(params, retrained), ASKED)
    formula.all(retrained)
    retraining.challenge(retraining.Workbench(params, retrained), opened.number)
    decided = retraining.conclude(retraining.Workbench(params, retrained), opened.number)
    assert decided.decision == "rejected"
    assert "only 10 sentinel architectures were measured" in decided.reason


def test_nothing_is_concluded_before_all_of_it_is_measured(retrained: Paths, formula: Any):
    params = override(retrained.params, ["retrain.round_size=2"])
    retraining.draw_sentinel(retraining.Workbench(params, retrained))
    opened = retraining.open_round(retraining.Workbench(params, retrained), ASKED)
    with pytest.raises(StageError, match="26 of 38 architectures that the comparison needs are not characterized"):
        retraining.challenge(retraining.Workbench(params, retrained), opened.number)
    formula.all(retrained)
    retraining.challenge(retraining.Workbench(params, retrained), opened.number)
    # Somebody deletes a result in between.
    store = ResultStore.of(retrained.root)
    store.path(stage.jobs(params, retrained)[-1].key).unlink()
    with pytest.raises(StageError, match="1 of 38 architectures"):
        retraining.conclude(retraining.Workbench(params, retrained), opened.number)
    assert rounds(retrained)[-1].decision == "pending"


def test_what_is_installed_is_what_was_compared_also_where_architectures_were_trained_twice(
    retrained: Paths, formula: Any
):
    params = override(retrained.params, ["characterize.replicates=4"])
    formula.all(retrained)
    for name in ("characterize", "fit"):
        run_stage(name, params, retrained)
    decided = retrain(retrained, formula)
    assert decided.decision == "accepted", decided.reason
    assert file_digest(retrained.evaluator) == decided.record["challenger"]["digest"]
    for name in ("metrics/fit.json", "plots/fit.csv"):
        assert (retrained.data / name).read_bytes() == (retrained.challenger.data / name).read_bytes()


def test_another_evaluator_than_the_one_that_was_compared_is_not_written(retrained: Paths, formula: Any):
    params = Params.load(retrained.params)
    before = file_digest(retrained.data)
    with pytest.raises(OtherEvaluatorError, match="and not 0123456789ab, which was compared"):
        run_stage("fit", params, retrained, expected="0123456789ab" + "0" * 52)
    assert file_digest(retrained.data) == before


def test_a_space_that_is_used_up_is_named(retrained: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(proposing, "propose", lambda *_, **__: None)
    with pytest.raises(StageError, match="nothing is left to learn from"):
        retraining.open_round(retraining.Workbench(Params.load(retrained.params), retrained), ASKED)
