"""What the fixtures of tests/sync/conftest.py give, by name."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypeAlias, TypedDict, Unpack

from inboxsync.engine import Engine
from inboxsync.model import History, Mode, Page, Platform, Run, Verification
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.threads import Thread
from inboxsync.sync import Findings
from tests.fixtures import Row, SandboxServer

# What a function that stands in for another only passes on.
Passed: TypeAlias = Any
# A connection, a cursor or parameters, as a driver has them and SQLAlchemy hands them over.
OfDriver: TypeAlias = Any


def thread_in(served: SandboxServer, slot: int, *, is_instagram: bool = False) -> Thread:
    """The conversation in that slot of the sandbox's Page."""
    thread = View(served.page, is_instagram).mailbox.thread(slot)
    assert thread is not None
    return thread


def graph_id_of(served: SandboxServer, slot: int, *, is_instagram: bool = False) -> str:
    """Graph's id of the conversation in that slot."""
    view = View(served.page, is_instagram)
    return view.thread_id(thread_in(served, slot, is_instagram=is_instagram))


class Options(TypedDict, total=False):
    """Of a sync, as in SyncOptions."""

    mode: Mode
    messages: int
    max_conversations: int | None
    history: History | None
    wait: bool
    stall_calls: int
    folder_interval: timedelta


class Add(Protocol):
    """The fixture `add`: adds the sandbox's Page."""

    def __call__(
        self,
        engine: Engine,
        served: SandboxServer,
        *,
        token: str | None = None,
        platform: Platform = Platform.MESSENGER,
    ) -> Page: ...


class Sync(Protocol):
    """The fixture `sync`: one sync of the only Page; asked to stop after so many batches."""

    def __call__(
        self,
        engine: Engine,
        *,
        stop_after: int | None = None,
        max_seconds: float | None = None,
        on_batch: Callable[[int], None] | None = None,
        **options: Unpack[Options],
    ) -> Run: ...


class Verify(Protocol):
    """The fixture `verify`: one verification of the only Page; asked to stop after so many batches."""

    def __call__(
        self, engine: Engine, *, is_deep: bool = False, stop_after: int | None = None
    ) -> tuple[Verification, Findings]: ...


class Stored(Protocol):
    """The fixture `stored`: the rows of a query."""

    def __call__(self, engine: Engine, sql: str) -> list[Row]: ...


class Ready(Protocol):
    """The fixture `ready`: a sandbox with these switches, and an engine that has its Page."""

    def __call__(
        self,
        *,
        platform: Platform = Platform.MESSENGER,
        engine: Mapping[str, object] | None = None,
        **switches: object,
    ) -> tuple[SandboxServer, Engine]: ...


class Slow(Protocol):
    """Like `ready`, for a module that chooses the engine itself."""

    def __call__(self, **switches: object) -> tuple[SandboxServer, Engine]: ...


class StoredMessages(Protocol):
    """The fixture `stored_messages`: Graph's ids of the messages of each conversation `where` that is so."""

    def __call__(self, engine: Engine, where: str = "1 = 1") -> dict[str, set[str]]: ...


class ServedMessages(Protocol):
    """The fixture `served_messages`: Graph's ids of the messages of each conversation, newest first."""

    def __call__(self, served: SandboxServer, *, is_instagram: bool = False) -> dict[str, list[str]]: ...


class WriteMessages(Protocol):
    """The fixture `write`: writes so many messages, so many seconds apart; Graph's id of the conversation."""

    def __call__(
        self,
        served: SandboxServer,
        slot: int | None,
        times: int = 1,
        *,
        is_instagram: bool = False,
        apart: int = 1,
    ) -> str: ...


class BacklogOf(Protocol):
    """The fixture `backlog`: kind and Graph's id of each item."""

    def __call__(self, engine: Engine) -> list[Row]: ...
