import re

from matplotlib.figure import Figure

from analognas.pages.drawing import svg
from analognas.pages.figures import Drawn


def drawn(name: str, *, points: int = 3) -> Drawn:
    figure = Figure()
    axes = figure.subplots()
    axes.scatter(range(points), range(points)).set_gid("points")
    axes.set_title("a < b & c")
    return Drawn(name, "A heading", "A caption.", figure, {"points": ["first", "second <i>", "third"]})


def test_points_tell_what_they_are():
    text = svg(drawn("one"))
    assert text.count("<title>") == 3
    assert "<title>second &lt;i&gt;</title>" in text
    assert text.index("first") < text.index("second") < text.index("third")


def test_titles_that_do_not_fit_the_points_are_left_out():
    assert "<title>" not in svg(drawn("one", points=4))


def test_names_of_two_figures_never_meet_and_references_hold():
    texts = [svg(drawn("one")), svg(drawn("two"))]
    names = [set(re.findall(r'id="([^"]+)"', text)) for text in texts]
    assert names[0].isdisjoint(names[1])
    for text, known in zip(texts, names, strict=True):
        used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
        assert used
        assert set(used) <= known


def test_it_is_an_element_of_html_the_same_every_time():
    text = svg(drawn("one"))
    assert text == svg(drawn("one"))
    assert text.startswith("<svg ")
    assert "ns0:" not in text
    assert 'aria-label="A heading"' in text
    assert "a &lt; b &amp; c" in text
