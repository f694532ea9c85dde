"""What all resources share: the base of every answer and body, lists with a cursor, ids in a path.

Outside names are camelCase, bodies are strict, and a list continues where its cursor points.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, Any, Final, Generic, ParamSpec, TypeVar

import msgspec
from fastapi import Path, Query, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from inboxsync.api.problems import CursorInvalid
from inboxsync.store.state.pages import stored_id

P = ParamSpec("P")
T = TypeVar("T")

MOST: Final = 200
_LONGEST_CURSOR: Final = 1024
# Our ids (UUIDv7) and Meta's (digits) have no other characters.
ID_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}$"
# An id, or the name of a Page: text without control characters.
PAGE_PATTERN: Final = r"^[^\x00-\x1f\x7f]{1,200}$"
_MARK_LENGTH: Final = 12
# A time whose offset's plus sign was not written as %2B, so that it arrived as a blank.
_BLANK_FOR_PLUS: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d\S*) (\d\d:?\d\d)")
_parts_of = msgspec.json.Decoder(list[str]).decode


class Shape(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class Asked(BaseModel):
    """A body: no value is converted, and an unknown field is an error. `a_field` is `aField` too."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        strict=True,
        extra="forbid",
        frozen=True,
    )


class Listed(Shape, Generic[T]):
    """One page of a list, in the list's order."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Pass it on as `cursor` to get what follows; null at the end."
    )


def _whole(value: object) -> object:
    # JSON has one kind of number: there 5.0 is 5.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _written(value: object) -> object:
    if not isinstance(value, str):
        return value
    # Without this check `2026` would be read as a number of seconds.
    if re.match(r"\d{4}-\d\d-\d\d[Tt ]", value) is None:
        raise ValueError("should be a time such as 2026-06-01T00:00:00Z")
    return with_plus(value)


def with_plus(text: str) -> str:
    """A time as it was meant: in a query a plus sign that is not written as %2B arrives as a blank."""
    blank = _BLANK_FOR_PLUS.fullmatch(text)
    return f"{blank[1]}+{blank[2]}" if blank else text


def _in_utc(at: datetime) -> datetime:
    # An instant outside the calendar becomes the calendar's first or last.
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if at.year == 1 else datetime.max.replace(tzinfo=UTC)


# For a number in a body, where text is never converted. Write it after the bounds.
WHOLE: Final = BeforeValidator(_whole)
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.", examples=[50])]
CursorText = Annotated[
    str | None,
    Query(
        max_length=_LONGEST_CURSOR,
        description="The `nextCursor` of the answer before; leave it out to begin.",
        json_schema_extra={"format": "cursor"},
    ),
]
StoredId: Final = AfterValidator(stored_id)
OfPage = Annotated[
    str | None,
    Query(
        pattern=PAGE_PATTERN,
        description="Only of this Page: our id, Meta's, or its name if no other Page has it.",
        examples=["01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"],
    ),
]
Since = Annotated[
    Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_utc)] | None,
    Query(
        description="With a message at or after this time, which names its time zone.",
        examples=["2026-06-01T00:00:00Z"],
    ),
]
PageId = Annotated[
    str,
    Path(
        pattern=PAGE_PATTERN,
        description="Our id of the Page (`facebook_pages.id`), Meta's, or its name if no other Page has it.",
        examples=["01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"],
    ),
]
RunId = Annotated[
    str,
    StoredId,
    Path(
        pattern=ID_PATTERN,
        description="The id of the run.",
        examples=["01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a"],
    ),
]


def example(**members: Any) -> ConfigDict:  # noqa: ANN401 - JSON of any kind
    """The example of a shape, for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"example": members})


def as_json(read: Callable[P, Shape]) -> Callable[P, Response]:
    """A route that reads the database and writes its answer in the same thread.

    FastAPI would validate the answer in a second thread and write it in the event loop. Under load each
    of these steps waits for its turn. FastAPI still sees the parameters and the shape of `read`.
    """

    @wraps(read)
    def route(*args: P.args, **kwargs: P.kwargs) -> Response:
        return Response(read(*args, **kwargs).model_dump_json(), media_type="application/json")

    return route


def filter_mark(**values: object) -> str:
    """What a cursor keeps of its list's filter: the parameters that were set, and a digest of each value."""
    return "&".join(
        f"{name}={hashlib.sha256(str(value).encode()).hexdigest()[:_MARK_LENGTH]}"
        for name, value in sorted(values.items())
        if value is not None
    )


def encode_cursor(kind: str, *key: str, mark: str = "") -> str:
    """A cursor of the list `kind` that continues after this key. Callers treat it as opaque text.

    `mark` is of the list's filter, as `filter_mark` makes it.
    """
    named = f"{kind}?{mark}" if mark else kind
    return base64.urlsafe_b64encode(msgspec.json.encode([named, *key])).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str, *, parts: int, mark: str = "") -> tuple[str, ...]:
    """The key that `encode_cursor` was given. Raises CursorInvalid, also for a cursor of another filter."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        named, *key = _parts_of(text)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise CursorInvalid("This is not one of our cursors.") from None
    of_kind, _, marked = named.partition("?")
    if of_kind != kind or len(key) != parts or any("\0" in part for part in key):
        raise CursorInvalid("This cursor belongs to another list.")
    if marked != mark:
        raise CursorInvalid(
            f"This cursor belongs to another filter: {_differing(marked, mark)} is not as it was.",
            hint="Begin again without a cursor, or send the parameters that the cursor came with. "
            "Only `limit` may change.",
        )
    return tuple(key)


def _differing(one: str, other: str) -> str:
    """The parameters in which two marks differ; a cursor is text from outside, so only names of ours."""
    differing = set(one.split("&")) ^ set(other.split("&"))
    names = sorted({each.partition("=")[0] for each in differing})
    return " and ".join(name for name in names if name.isascii() and name.isalpha()) or "something"


def encode_key(
    kind: str, key: tuple[datetime | str | int | None, str] | None, *, mark: str = ""
) -> str | None:
    """A cursor of a list that is ordered by time, or by a text or a number; None at its end."""
    if key is None:
        return None
    at, row_id = key
    said = at.isoformat() if isinstance(at, datetime) else "" if at is None else str(at)
    return encode_cursor(kind, said, row_id, mark=mark)


def decode_key(kind: str, cursor: str, *, mark: str = "") -> tuple[datetime | None, str]:
    """The time and the id that `encode_key` was given, in a list by time. Raises CursorInvalid."""
    at, row_id = decode_cursor(kind, cursor, parts=2, mark=mark)
    if not at:
        return None, row_id
    try:
        parsed = datetime.fromisoformat(at)
    except ValueError:
        raise CursorInvalid("This is not one of our cursors.") from None
    if parsed.tzinfo is None:
        raise CursorInvalid("This is not one of our cursors.")
    return _in_utc(parsed), row_id
