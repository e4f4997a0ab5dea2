"""A month of a team of two and a workspace that is retrained by a schedule, event by event, with real servers.

Each event begins where the one before it ended. Who does what is what docs/team.md and docs/retraining.md tell.
"""

from __future__ import annotations

import threading
import time

import pytest

from team.clocks import event, until
from team.month import Month
from team.people import Person

NOTHING = "Every stage is up to date and tracked: nothing to do."
#: More than the whole month takes on a machine that does other things, too: an event that hangs fails by itself.
BOUND = 3600


def makes(month: Month, anna: Person, quick: list[str]) -> None:
    """Let Anna make the workspace, and say where git and DVC push to."""
    anna("init", str(anna.paths.root), *quick)
    anna.git("remote", "add", "origin", str(month.bare))
    month.gives_remote(anna)
    anna.git("add", ".dvc/config")


def characterizes(anna: Person) -> None:
    """Let Anna characterize the sample, stage by stage, and commit it."""
    for stage in ("record", "sample", "characterize"):
        anna("stage", stage)
    anna.commit("The sample")


def shares_first(anna: Person) -> None:
    """Let Anna push for the first time."""
    anna("push")
    anna.git("push", "--quiet", "--set-upstream", "origin", "main")
    assert anna.changed() == ""


def clones(ben: Person, anna: Person) -> None:
    """Let Ben clone and pull: he has what Anna has."""
    ben.clone()
    ben("pull")
    assert ben.changed() == ""
    assert ben.stored() == anna.stored()


def starts(month: Month, anna: Person, quick: list[str]) -> None:
    """Let Anna make the workspace, run, and share it."""
    makes(month, anna, quick)
    anna("run")
    anna.commit("The first run")
    shares_first(anna)
    assert len(month.trained()) == 12


def joins(month: Month, ben: Person, anna: Person) -> None:
    """Let Ben clone and pull: he has what Anna has, and there is nothing to do for him."""
    trained = month.trained()
    clones(ben, anna)
    ben("run")
    assert NOTHING in ben("run")
    assert month.trained() == trained
    assert ben.changed() == ""


def takes(who: Person) -> None:
    """Let somebody merge what the schedule has decided, and take the data."""
    who.git("fetch", "--quiet")
    who.git("merge", "--quiet", "--no-edit", "origin/retrain")
    who("pull")


@pytest.mark.team
@pytest.mark.timeout(BOUND)
class TestAMonth:
    def test_anna_makes_the_workspace_and_runs(self, month: Month, quick: list[str]):
        anna = month.person("anna")
        with event("Anna makes the workspace and runs") as seen:
            starts(month, anna, quick)
            assert month.champion()["version"] == 1
            seen.append("12 characterized, version 1 is champion, git is clean")

    def test_ben_clones_and_pulls(self, month: Month):
        with event("Ben clones and pulls") as seen:
            joins(month, month.person("ben"), month.person("anna"))
            assert month.champion()["version"] == 1
            seen.append("nothing is trained again, nothing to do, git is clean")

    def test_the_schedule_retrains(self, month: Month):
        served = month.person("retrain")
        with event("A scheduled retraining is accepted") as seen:
            served.clone()
            served("pull")
            (served.paths.root / "params.local.yaml").write_text("run: {branch: retrain}\n")
            month.world.write_text("large")  # what the champion has learned is no longer so
            assert month.ended(month.due(served)) == "COMPLETED"
            until(lambda: month.receiver.told("retrain", "promoted"), "the notice")
            (notice,) = month.receiver.told("retrain", "promoted")
            assert "has taken the champion's place" in notice["text"]
            champion = month.champion()
            assert (champion["version"], champion["promoted_by"]) == (2, "retrain")
            assert champion["why"]
            assert month.in_bare("retrain") == served.git("rev-parse", "HEAD")
            assert served.changed() == ""
            month.nothing_twice()
            seen += [f"version 2 is champion, by {champion['promoted_by']}: {champion['why']}", "told once", "pushed"]

    def test_anna_takes_what_the_schedule_decided(self, month: Month):
        anna = month.person("anna")
        with event("Anna merges the branch of the schedule") as seen:
            before = month.trained()
            takes(anna)
            anna("run")
            assert "is the champion" not in anna("run")
            assert month.trained() == before
            anna.commit("Search with the new evaluator")
            anna.shares()
            assert anna.changed() == ""
            assert month.champion()["version"] == 2
            seen.append("a search and a winner with the new champion, nothing characterized, git is clean")

    def test_ben_searches_while_the_schedule_retrains(self, month: Month):
        ben, served, laptop = month.person("ben"), month.person("retrain"), month.person("laptop")
        with event("Ben searches while the schedule retrains") as seen:
            ben.git("pull", "--quiet")
            ben("pull")
            before = len(month.trained())
            run = month.due(served)
            month.begun(run)
            ben("search", "--true-evaluations", "2", "--batch", "2")
            ben.commit("A round of Ben's")
            assert month.ended(run) == "COMPLETED"
            ben.shares()
            month.nothing_twice(month.trained()[before:])
            of_ben, of_the_schedule = set(ben.rounds()), set(served.rounds())
            assert of_ben - of_the_schedule
            assert of_the_schedule - of_ben

            # Another clone of his, in which nothing has told git how to merge.
            laptop.clone()
            told = laptop.git("merge", "--no-edit", "origin/retrain", check=False)
            assert "CONFLICT" in told
            assert "both sides of a merge" in laptop("run", code=None)
            merged = laptop("merge")
            laptop.git("commit", "--quiet", "--no-edit")

            takes(ben)
            assert ben.rounds() == laptop.rounds() == sorted(of_ben | of_the_schedule)
            trained = month.trained()
            ben("run")
            assert month.trained() == trained
            ben.commit("Both rounds")
            ben.shares()
            assert ben.changed() == ""
            both = len(of_ben | of_the_schedule)
            seen += [f"{both} rounds in one order", f"a clone without the driver: {merged.text.splitlines()[0]}"]
            of_both = len(month.trained()) - len({key for _, key in month.trained()})
            seen.append(f"nothing is trained twice but {of_both} that both proposed at the same moment")

    def test_mlflow_is_away_during_a_run(self, month: Month):
        anna = month.person("anna")
        with event("MLflow is away during a run") as seen:
            log = month.said(anna)
            log.unlink()
            killer = threading.Thread(
                target=lambda: (until(lambda: "search: " in log.read_text(), "the search"), month.mlflow.kill())
            )
            killer.start()
            said = anna("run", "--set", "search.nb_iter=3")
            killer.join()
            warnings = [line for line in said.text.splitlines() if "MLflow at" in line]
            assert len(warnings) == 1
            assert "the next `analognas run` logs them" in warnings[0]
            (notice,) = month.receiver.told("anna", "tracking")
            anna.commit("A longer search")
            month.mlflow.start()
            before = month.logged()
            anna("run")
            assert {stage for stage, _ in month.logged()} == {"sample", "characterize", "fit", "search", "train"}
            assert len(month.logged()) == len(before) + 2  # search and train
            assert len(set(month.logged())) == len(month.logged())
            assert NOTHING in anna("run")
            seen += ["one warning, told once", "search and train logged later, once", notice["text"]]

    def test_anna_and_ben_have_both_committed(self, month: Month):
        anna = month.person("anna")
        with event("Anna pulls over what she has committed") as seen:
            anna.git("pull", "--quiet", "--no-rebase", "--no-edit")  # the driver settles dvc.lock and metrics
            assert "git has merged everything" in anna("merge")
            anna("pull")
            trained = month.trained()
            anna("run")
            assert month.trained() == trained
            anna.commit("Both")
            anna.shares()
            assert anna.changed() == ""
            assert anna.rounds() == month.person("ben").rounds()
            seen.append("`git pull` settles it, the next run makes what follows")

    def test_the_remote_is_away_during_a_push(self, month: Month):
        ben, served = month.person("ben"), month.person("retrain")
        with event("The DVC remote is away during pushes") as seen:
            ben.git("pull", "--quiet")
            ben("pull")
            before, trained = len(month.receiver.told("retrain", "sharing")), len(month.trained())
            with month.remote_away():
                ben("search", "--true-evaluations", "4", "--batch", "2", "--no-run")
                said = ben("push", code=1)
                assert "The DVC remote 'team' cannot be" in said
                assert month.ended(month.due(served)) == "COMPLETED"
                until(lambda: len(month.receiver.told("retrain", "sharing")) > before, "the notice")
                notice = month.receiver.told("retrain", "sharing")[before]
                assert "The DVC remote 'team' cannot be" in notice["text"]
                assert month.in_bare("retrain") != served.git("rev-parse", "HEAD")  # it waits for its data
                assert "cannot be" in served("doctor", code=None)
            month.nothing_twice(month.trained()[trained:])  # neither could see what the other one had
            ben.commit("Another round of Ben's")
            ben.shares()
            assert ben.changed() == ""
            seen += ["the push says so", f"told: {notice['text']}", "pushed later"]

    def test_prefect_is_started_again_during_a_retraining(self, month: Month):
        served = month.person("retrain")
        with event("Prefect's server is started again during a retraining") as seen:
            before = len(month.trained())
            run = month.due(served)
            until(lambda: len(month.trained()) > before, "a characterization")
            month.prefect.kill()
            time.sleep(3)
            month.prefect.start()
            until(lambda: not month.busy(served), "the end of the work")
            first = month.ended(run)
            assert month.ended(month.due(served)) == "COMPLETED"
            assert served.changed() == ""
            assert month.in_bare("retrain") == served.git("rev-parse", "HEAD")
            month.nothing_twice()
            assert not month.receiver.told("retrain", "crashed")
            seen += [f"the run ended {first}", "the next one COMPLETED", "what waited for the remote is pushed"]

    def test_the_database_is_away_during_a_retraining(self, month: Month):
        if month.database is None:
            pytest.skip("the servers keep what they have in files: TEAM_DATABASE=postgresql")
        served = month.person("retrain")
        with event("PostgreSQL is away for half a minute during a retraining") as seen:
            before = len(month.trained())
            run = month.due(served)
            until(lambda: len(month.trained()) > before, "a characterization")
            with month.database.away():
                time.sleep(30)
            until(lambda: not month.busy(served), "the end of the work")
            first = month.ended(run)
            assert month.ended(until(lambda: month.due(served), "Prefect's server")) == "COMPLETED"
            assert served.changed() == ""
            assert month.in_bare("retrain") == served.git("rev-parse", "HEAD")
            month.nothing_twice()
            assert not month.receiver.told("retrain", "crashed")
            assert len(set(month.logged())) == len(month.logged())
            seen += [f"the run ended {first}", "the next one COMPLETED", "nothing is trained or logged twice"]

    def test_the_champion_is_moved_by_hand(self, month: Month):
        anna = month.person("anna")
        with event("The champion is moved by hand, and taken back") as seen:
            month.moves_the_alias(1)
            for command in (("champion",), ("run",), ("doctor",)):
                assert "the champion in MLflow is version 1" in anna(*command, code=None), command
            anna("champion", "checkout", "1")
            assert "the champion in MLflow is" not in anna("champion")
            anna("champion", "promote", "2", "--why", "it was right")
            champion = month.champion()
            assert (champion["version"], champion["promoted_by"], champion["why"]) == (2, "anna", "it was right")
            assert "the champion in MLflow is" not in anna("champion")
            (notice,) = month.receiver.told("anna", "promoted")
            seen += ["`champion`, `run`, `doctor` say so", "checkout 1, promote 2 mend it", notice["text"]]

    def test_anna_rolls_back(self, month: Month):
        anna = month.person("anna")
        with event("Anna rolls back") as seen:
            said = anna("champion", "rollback")
            champion = month.champion()
            assert (champion["version"], champion["promoted_by"]) == (1, "anna")
            assert "the champion in MLflow is" not in anna("champion")
            seen.append(said.text.splitlines()[-1])

    def test_anna_takes_what_all_have_done(self, month: Month):
        anna = month.person("anna")
        with event("Anna takes what all have done") as seen:
            anna.commit("Back to the first evaluator")
            anna.git("pull", "--quiet", "--no-rebase", "--no-edit")
            takes(anna)
            trained = month.trained()
            anna("run")
            assert month.trained() == trained
            anna.commit("The end of the month")
            anna.shares()
            assert anna.changed() == ""
            seen.append(f"{len(anna.rounds())} rounds, nothing is trained again, git is clean")

    def test_a_registered_model_is_deleted(self, month: Month):
        anna = month.person("anna")
        with event("The registered model is deleted") as seen:
            before = month.logged()
            month.deletes_the_model()
            for command in (("champion",), ("run",), ("doctor",)):
                assert "`analognas track --again` registers it" in anna(*command, code=None), command
            anna("track", "--again")
            assert month.champion()["version"] == 1
            assert "`analognas track --again`" not in anna("champion")
            assert month.logged() == before
            seen.append("`champion`, `run`, `doctor` say so; `track --again` registers it, nothing is logged twice")

    def test_a_fresh_clone_is_what_anna_has(self, month: Month):
        anna, fresh = month.person("anna"), month.person("fresh")
        with event("A fresh clone at the end") as seen:
            joins(month, fresh, anna)
            assert fresh.rounds() == anna.rounds()
            month.nothing_twice()
            seen.append(f"clean, {len(fresh.stored())} results with Anna's keys and digests, nothing to do")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_hour_of_it(hour: Month, quick: list[str]):
    """The short part: two people work at once, without servers, stage by stage."""
    anna, ben = hour.person("anna"), hour.person("ben")
    makes(hour, anna, quick)
    characterizes(anna)
    shares_first(anna)
    clones(ben, anna)
    assert len(hour.trained()) == len(ben.stored()) == 12

    for who, number in ((anna, "2"), (ben, "3")):
        who("search", "--true-evaluations", number, "--batch", number, "--no-run")
        who("stage", "characterize")
        who.commit(f"A round of {who.name}'s")
    hour.nothing_twice(hour.trained()[12:])
    anna.shares()
    ben("push")
    told = ben.git("pull", "--no-rebase", "--no-edit")
    assert "CONFLICT" not in told
    assert len(ben.rounds()) == len(anna.rounds()) + 1 == 3
    assert set(anna.rounds()) < set(ben.rounds())
    ben("pull")
    trained = hour.trained()
    ben("stage", "characterize")
    assert hour.trained() == trained
    ben.commit("Both rounds")
    ben.shares()
    anna.git("pull", "--quiet")
    anna("pull")
    assert anna.changed() == ben.changed() == ""
    assert anna.rounds() == ben.rounds()
    assert anna.stored() == ben.stored()
    assert anna.paths.surrogate.read_bytes() == ben.paths.surrogate.read_bytes()
    hour.nothing_twice()
