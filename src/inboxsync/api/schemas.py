"""What all shapes of the API have in common: camelCase outside, strict types, lists with a cursor."""

from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from inboxsync.api.cursors import LONGEST

T = TypeVar("T")

MOST: Final = 200
# Ours (UUIDv7) or Meta's (digits): nothing else names anything.
ID_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"


def _whole(value: object) -> object:
    # JSON knows one kind of number: 5.0 is 5 there.
    return int(value) if isinstance(value, float) and value.is_integer() else value


# For a number in a body, which is never taken from text; behind its bounds.
WHOLE: Final = BeforeValidator(_whole)


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Asked(BaseModel):
    """A body: nothing is converted, and a field that is not known is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, strict=True, extra="forbid", frozen=True
    )


class Listed(Shape, Generic[T]):
    """A part of a list, in its order."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Pass it on as `cursor` for what follows; null at the end."
    )


Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.", examples=[50])]
CursorText = Annotated[
    str | None,
    Query(
        max_length=LONGEST,
        description="The `nextCursor` of the answer before; none at the beginning.",
        json_schema_extra={"format": "cursor"},
    ),
]
PageId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="Our id of the Page (`facebook_pages.id`).",
        examples=["01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"],
    ),
]
RunId = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="The id of the run.",
        examples=["01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a"],
    ),
]


def example(**members: Any) -> ConfigDict:  # noqa: ANN401 - JSON of any kind
    """The example of a shape, for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"example": members})
