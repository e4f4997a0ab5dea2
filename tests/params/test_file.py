from pathlib import Path

import pytest

from analognas.errors import ParamsError
from analognas.params import Params
from analognas.params.file import Draft
from analognas.params.overrides import parse
from analognas.setup.template import source


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    path = tmp_path / "params.yaml"
    path.write_text((source() / "params.yaml").read_text())
    return Draft(path)


def test_nothing_is_written_before_it_is_saved(draft: Draft):
    before = draft.path.read_bytes()
    draft.assign(parse(["search.population_size=40"]))
    assert draft.params().search.population_size == 40
    assert draft.path.read_bytes() == before
    assert draft.save() == Params.load(draft.path) == draft.params()
    assert "# most trainable parameters" in draft.path.read_text()


def test_what_somebody_else_wrote_meanwhile_is_kept(draft: Draft):
    draft.assign(parse(["search.population_size=40"]))
    with pytest.raises(ParamsError, match="changed by somebody else at the same moment: run again"):
        draft.save(lambda _: draft.path.write_text("base: {seed: 5}\n"))
    assert draft.path.read_text() == "base: {seed: 5}\n"


def test_what_is_refused_is_not_written(draft: Draft):
    before = draft.path.read_bytes()

    def refuse(params: Params) -> None:
        raise ParamsError(f"no {params.search.k}")

    draft.assign(parse(["search.k=2.5"]))
    with pytest.raises(ParamsError, match=r"no 2\.5"):
        draft.save(refuse)
    draft.assign(parse(["search.population_size=none"]))
    with pytest.raises(ParamsError, match=r"^search\.population_size is 'none'.*params\.yaml stays as it is"):
        draft.save()  # of whoever set it, not of the file
    assert draft.path.read_bytes() == before


def test_the_text_is_finished_once_and_the_bytes_stay_where_nothing_changed(draft: Draft):
    before = draft.path.read_text()
    draft.save()
    assert draft.path.read_text() == before
    draft.finish = lambda text: "# head\n" + text
    draft.save()
    assert draft.path.read_text() == "# head\n" + before
