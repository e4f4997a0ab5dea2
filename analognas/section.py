"""What all sections of ``params.yaml`` have in common."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation allows, those within a tuple or list too."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kinds(get_args(annotation)[0])
    if origin in (Union, types.UnionType, tuple, list):
        return set().union(*(kinds(part) for part in get_args(annotation)))
    if origin is Literal:
        return {type(value) for value in get_args(annotation)}
    return {origin or annotation}


class Section(BaseModel):
    """One section of ``params.yaml``: frozen, without other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic takes true for 1 and false for 0
        parts = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(part, bool) for part in parts):
            wanted = kinds(cls.model_fields[str(info.field_name)].annotation)
            if bool not in wanted and wanted & {int, float}:
                raise ValueError("a number is needed, not true or false")
        return value
