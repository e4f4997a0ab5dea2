"""Matplotlib's vector graphics made fit to stand in a page beside others, with points that tell what they are."""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from analognas.pages.figures import Drawn

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg(figure: Drawn) -> str:
    """Return a figure as an ``<svg>`` element.

    Its names begin with that of the figure, since those of a page must not meet, and its text is text. Each point of an
    artist with titles shows its own when it is pointed at. The same figure gives the same text.
    """
    from matplotlib import rc_context

    written = BytesIO()
    # Text is kept as text: it can be searched, and needs a tenth of the place.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": figure.name, "font.family": "sans-serif"}):
        figure.figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - written just now
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    _tell(root, figure)
    _own_names(root, figure.name)
    _scale(root, figure)
    return ElementTree.tostring(root, encoding="unicode")


def _tell(root: ElementTree.Element, figure: Drawn) -> None:
    """Give every point of the artists with titles its own."""
    for gid, titles in figure.titles.items():
        group = root.find(f".//{{{_SVG}}}g[@id='{gid}']")
        points = [] if group is None else list(group.iter(f"{{{_SVG}}}use"))
        if len(points) == len(titles):  # what lies outside of the axes is not drawn
            for point, title in zip(points, titles, strict=True):
                ElementTree.SubElement(point, f"{{{_SVG}}}title").text = title


def _own_names(root: ElementTree.Element, prefix: str) -> None:
    """Let all names begin with a prefix; in a page of HTML elements have no namespace."""
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        for key, value in list(element.attrib.items()):
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif key == f"{{{_LINK}}}href":
                del element.attrib[key]
                element.set("href", f"#{prefix}-{value[1:]}" if value.startswith("#") else value)
            elif "url(#" in value:
                element.set(key, _REFERENCE.sub(rf"url(#{prefix}-\1)", value))


def _scale(root: ElementTree.Element, figure: Drawn) -> None:
    """Let it be as wide as the page lets it, and be read aloud."""
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", figure.heading)
