"""What the fixtures of this directory give, and what its tests share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, event

from tests.fixtures import Row

# The fixture `rows`: the rows of a query, with times as text.
Rows: TypeAlias = Callable[[str], list[Row]]
# The fixture `statements`: collects the SQL that is sent while it is open.
Statements: TypeAlias = Callable[[], AbstractContextManager[list[str]]]
# What a driver is given with a statement, in its own form, and its cursor.
Parameters: TypeAlias = Any
Cursor: TypeAlias = Any
# Fields of a record, or arguments that are passed on, by name: a test says only those that it is about.
Fields: TypeAlias = Any
# A value as a database returns it.
Value: TypeAlias = Any


@contextmanager
def recorded(target: Engine | Connection) -> Iterator[list[tuple[str, Parameters]]]:
    """The statements, and their parameters, that are sent while it is open."""
    sent: list[tuple[str, Parameters]] = []

    def note(_: Connection, _cursor: object, statement: str, values: Parameters, *_more: object) -> None:
        sent.append((statement, values))

    event.listen(target, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(target, "before_cursor_execute", note)
