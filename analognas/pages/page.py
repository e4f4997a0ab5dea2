"""The page itself: one file of HTML with everything in it, and the figures as files of their own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from analognas.errors import WorkspaceError
from analognas.files import write_text, writing
from analognas.pages.content import Content, read
from analognas.pages.drawing import svg
from analognas.pages.figures import drawn

if TYPE_CHECKING:
    from markupsafe import Markup

    from analognas.workspace import Paths

_DOTS_PER_INCH = 300
#: Tiles of a layer that are drawn one by one; of more the number stands there.
MOST_DRAWN = 64
#: What a page of ours has near its beginning.
_GENERATOR, _HEAD = b'<meta name="generator" content="analognas">', 1000


@lru_cache(maxsize=1)  # a run writes its page, and logs it to MLflow: drawing it takes a second or two
def html(content: Content) -> str:
    """Return the page; it needs no network, no script, and no other file. The same content gives the same text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("analognas.pages", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["marked"] = _marked
    figures = [(figure, svg(figure)) for figure in drawn(content)]
    return environment.get_template("page.html").render(content=content, figures=figures, most_drawn=MOST_DRAWN)


def _marked(text: str) -> Markup:
    """Return text with what stands between backticks marked as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that stands alone
        return escape(text)
    code = (Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts))
    return Markup("").join(code)


def write_page(paths: Paths, to: Path | None = None) -> Path:
    """Write the page of a finished run and return where it is.

    Args:
        paths: the workspace.
        to: the file; None: ``data/report.html``.

    Raises:
        CorruptFileError: if a stage has not run yet, or a file is damaged.
        WorkspaceError: if it cannot be written, or something else is there.
    """
    file = to or paths.page
    if file.is_file() and _GENERATOR not in file.read_bytes()[:_HEAD]:
        raise WorkspaceError(f"{file} is there and is no report of analognas: name another file, or move it away.")
    write_text(file, html(read(paths)))
    return file


def write_figures(paths: Paths, folder: Path) -> list[Path]:
    """Write the figures of the page as PNG (300 dots per inch) and SVG; return the files. Raises as ``write_page``."""
    from matplotlib import rc_context

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WorkspaceError(f"{folder} is there and not empty: name a new folder for the figures.")
    written = []
    for figure in drawn(read(paths)):
        for kind in ("png", "svg"):
            file = folder / f"{figure.name}.{kind}"
            metadata: dict[str, str | None] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
            with writing(file) as temporary, rc_context({"svg.hashsalt": figure.name}):
                figure.figure.savefig(temporary, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
            written.append(file)
    return written
