from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from analognas.section import Section, kinds


class Example(Section):
    """All kinds of keys."""

    number: float = 1.0
    """A number."""
    count: Annotated[int, Field(ge=1)] | None = None
    pair: int | tuple[int, int] = 1
    numbers: tuple[float, ...] = ()
    flag: bool = False
    mixed: bool | int = 1
    name: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, {int}), (int | None, {int, type(None)}), (Annotated[float, "m"], {float}), (tuple[int, ...], {int, ...}),
        (list[str] | None, {str, type(None)}), (Literal["a", 1], {str, int}), (dict[str, Any], {dict}),
        (Annotated[int, "m"] | tuple[float, float], {int, float}),
    ],
)  # fmt: skip
def test_the_kinds_of_an_annotation_are_those_within_it_too(annotation: Any, expected: set[Any]):
    assert kinds(annotation) == expected


@pytest.mark.parametrize(
    "given", [{"number": True}, {"count": False}, {"pair": True}, {"pair": [8, True]}, {"numbers": [1.0, False]}]
)
def test_true_is_no_number(given: dict[str, Any]):
    with pytest.raises(ValidationError, match="a number is needed, not true or false"):
        Example(**given)


def test_true_is_what_it_is_where_it_is_asked_for():
    made = Example(flag=True, mixed=True)
    assert (made.flag, made.mixed) == (True, True)
    assert Example(number=1, pair=(8, 4)).pair == (8, 4)


@pytest.mark.parametrize("given", [{"other": 1}, {"number": float("nan")}, {"number": float("inf")}, {"name": "c"}])
def test_other_keys_and_what_is_no_finite_number_are_refused(given: dict[str, Any]):
    with pytest.raises(ValidationError, match=next(iter(given))):
        Example(**given)


def test_a_section_is_frozen_and_describes_its_keys():
    with pytest.raises(ValidationError, match="frozen"):
        Example().number = 2.0  # type: ignore[misc]
    assert Example.model_fields["number"].description == "A number."
