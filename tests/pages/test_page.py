import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from analognas import pages
from analognas.cli import main
from analognas.errors import WorkspaceError
from analognas.report import Told
from analognas.workspace import Paths


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "action", "data")]


def test_a_page_holds_everything_and_asks_nobody(finished: Paths):
    text = pages.html(pages.read(finished))
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("figure") == 6
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert len(text.encode()) < 2_000_000
    pages.html.cache_clear()
    assert text == pages.html(pages.read(finished))


def test_what_shows_the_same_is_drawn_once(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    drawings: list[pages.Content] = []
    monkeypatch.setattr("analognas.pages.page.drawn", lambda content: drawings.append(content) or [])
    pages.html.cache_clear()
    content = pages.read(finished)
    assert pages.html(content) == pages.html(pages.read(finished))
    assert drawings == [content]
    pages.html(replace(content, measured=content.measured.iloc[1:]))
    pages.html(replace(content, seconds=(*content.seconds, ("more", 1.0))))
    assert len(drawings) == 3
    pages.html.cache_clear()


def test_what_is_said_is_text_and_no_markup(finished: Paths):
    content = pages.read(finished)
    told = Told("<b>mine</b> & yours", ("", "<i>"), (("<u>", "1 < 2"),), ("Say `a < b` or `c`.", "one ` alone"))
    text = pages.html(replace(content, told=told))
    for part in ("&lt;b&gt;mine&lt;/b&gt; &amp; yours", "&lt;u&gt;", "Say <code>a &lt; b</code> or", "one ` alone"):
        assert part in text
    assert "<b>" not in text


def test_it_is_written_where_it_is_asked_for_and_over_nothing_else(
    finished_copy: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished_copy.root)
    for _ in range(2):  # over its own kind
        done = CliRunner().invoke(main, ["report", "--html"], catch_exceptions=False)
        assert done.stdout == f"{finished_copy.page}\n"
    assert finished_copy.page.read_text().startswith("<!doctype html>")
    mine = tmp_path / "mine.html"
    mine.write_text("<!doctype html><p>mine</p>")
    done = CliRunner().invoke(main, ["report", "--html", str(mine)])
    assert (done.exit_code, mine.read_text()) == (2, "<!doctype html><p>mine</p>")
    assert "is no report of analognas" in done.stderr
    assert f"Report    {finished_copy.page}" in CliRunner().invoke(main, ["report"]).stdout


def test_figures_are_files_of_their_own(finished_copy: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished_copy.root)
    folder = tmp_path / "figures"
    done = CliRunner().invoke(main, ["report", "--figures", str(folder), "--json"], catch_exceptions=False)
    written = [Path(file) for file in json.loads(done.stdout)["written"]]
    assert sorted(written) == sorted(folder.iterdir())
    assert {file.suffix for file in written} == {".png", ".svg"}
    before = (folder / "drift.svg").read_bytes()
    with pytest.raises(WorkspaceError, match="name a new folder"):
        pages.write_figures(finished_copy, folder)
    pages.write_figures(finished_copy, tmp_path / "again")
    assert (tmp_path / "again" / "drift.svg").read_bytes() == before


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no browser")
def test_a_browser_opens_it_without_a_word_at_the_width_of_a_telephone_and_of_a_laptop(finished: Paths, tmp_path: Path):
    file = pages.write_page(finished, tmp_path / "report.html")
    # What it says of itself is added for this test alone: the page has no script.
    seen = "<script>document.title = `${document.documentElement.scrollWidth} ${innerWidth}`</script></body>"
    file.write_text(file.read_text().replace("</body>", seen))
    for width in (500, 1280):  # a window of Chromium is no narrower than that
        done = subprocess.run(
            [
                "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                f"--user-data-dir={tmp_path}/browser", f"--window-size={width},900", "--dump-dom", file.as_uri(),
            ],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        title = done.stdout.partition("<title>")[2].partition("</title>")[0]
        needed, there = map(int, title.split())
        assert needed <= there
        assert "CONSOLE" not in done.stderr
