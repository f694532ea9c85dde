"""How ids, times and JSON are held on each database."""

from datetime import UTC, datetime
from typing import Any, Final

import uuid_utils
from msgspec import to_builtins
from sqlalchemy import TIMESTAMP, Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine, UserDefinedType

from inboxsync.store.connection.nul import json_without_nul

# Compared by their characters' numbers on both databases: by case, the same order everywhere, and faster than
# by the rules of a language.
ID: Final = Text().with_variant(Text(collation="C"), "postgresql")

# What stands for no time where a column must have one.
NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
# `2026-01-02T03:04:05Z`
_WHOLE_SECONDS = 20


def format_utc(at: datetime) -> str:
    """Fixed width, so that text order is time order, and readable by SQLite's date functions.

    `2026-01-02T03:04:05.000Z`.
    """
    # A sync formats a time for every message: `isoformat` takes four times as long.
    text: str = to_builtins(at if at.tzinfo is UTC else at.astimezone(UTC))
    return text[:19] + ".000Z" if len(text) == _WHOLE_SECONDS else text[:23] + "Z"


def parse_utc(value: str | datetime) -> datetime:
    """A time as a database gives it, as an aware UTC time.

    A user may have set it by hand in another form that SQLite knows.
    """
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _parse_utc_or_none(value: str | datetime | None) -> datetime | None:
    if value is None:
        return None
    # As it is stored, nearly always.
    if isinstance(value, str) and (at := datetime.fromisoformat(value)).tzinfo is UTC:
        return at
    return parse_utc(value)


def new_id() -> str:
    """An id of ours: UUIDv7 as text, so that rows are inserted in order."""
    return str(uuid_utils.uuid7())


def to_milliseconds(at: datetime) -> datetime:
    """As exact as both databases keep it, so that a copy of one is the other."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time in milliseconds: `timestamptz` on PostgreSQL, text as of `format_utc` on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of the database at hand."""
        native = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(native)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401 - as the base
        """From an aware time to what the database takes. Refuses a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return to_milliseconds(value) if dialect.name == "postgresql" else format_utc(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ANN401, ARG002 - as the base
        """From what the database gives to an aware UTC time. Every row has several: no call in between."""
        return _parse_utc_or_none


class _Jsonb(UserDefinedType[str]):
    """`jsonb` that is given and read as text, as the driver is told too (see `postgresql`)."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: object) -> str:
        """Its name."""
        return "JSONB"

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002 - as the base
        """As it is, but for what PostgreSQL does not hold."""
        return lambda text: json_without_nul(text) if text is not None else None


class JsonText(TypeDecorator[str]):
    """JSON that is already text: `jsonb` on PostgreSQL, text on SQLite, so that `->>` works on both."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The column type of the database at hand."""
        return _Jsonb() if dialect.name == "postgresql" else dialect.type_descriptor(Text())
