"""No statement of a sync, of the end of a run or of a derive pass reads a whole table.

Every statement is explained on the connection that sends it, with its parameters, just before it is
executed, while the database holds twenty thousand messages of another Page and knows so (ANALYZE).
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from inboxsync.clock import SystemClock
from inboxsync.engine import Engine
from inboxsync.model import Conversation, History, Message, Page, Participant, Platform, Run, RunStatus
from inboxsync.store import Store
from inboxsync.store.state.conversations import mark_active, mark_gone, set_has_older_messages
from inboxsync.store.state.pages import list_pages, upsert_page
from inboxsync.store.tables import messages, messenger_conversations
from inboxsync.store.writing.upsert import Written, upsert_batch, upsert_message_batch
from inboxsync.sync import Derive, SyncOptions, derive, ignore
from tests.store.fixtures import Cursor, Fields, Parameters

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
# Those that grow with an inbox.
TABLES = (
    *("messages", "messenger_conversations", "contacts", "message_index", "conversation_facts"),
    *("contact_details", "page_activity"),
)
# What is looked up within a Page, or by itself: a plan that filters all of a Page by it reads too much.
_KEYS = {"conversation_id", "sender_id", "id"}
CONVERSATIONS, MESSAGES_EACH = 2000, 10
_ALIAS = re.compile(rf"\b({'|'.join(TABLES)})\b(?:\s+AS)?\s+(\w+)", re.IGNORECASE)
# `SCAN m` or `SCAN messages AS m USING COVERING INDEX ...`; a search is not, nor is a table of a function.
_SQLITE_SCAN = re.compile(r"SCAN (?:TABLE )?(\w+)")
_MANY_MARKS = re.compile(
    r"\(\?, \?\)(?:, \(\?, \?\))+|\?(?:, \?)+|%\(\w+\)s(?:::\w+)?(?:, %\(\w+\)s(?:::\w+)?)+"
)
_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class Plans:
    """Explains each statement that a store sends, and keeps those that read one of `TABLES` whole."""

    def __init__(self) -> None:
        self.explained = 0
        self.scans: list[str] = []

    def note(
        self,
        connection: Connection,
        _cursor: object,
        statement: str,
        parameters: Parameters,
        _context: object,
        many: bool,
    ) -> None:
        if not statement.lstrip().upper().startswith(_EXPLAINED):
            return
        values = parameters[0] if many else parameters
        driver: Any = connection.connection.driver_connection
        explain = self._on_sqlite if connection.dialect.name == "sqlite" else self._on_postgresql
        self.explained += 1
        for found in explain(driver.cursor(), statement, values):
            self.scans.append(f"{found}: {_MANY_MARKS.sub('?, ..., ?', statement)}")

    def _on_sqlite(self, cursor: Cursor, statement: str, values: Parameters) -> list[str]:
        steps = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        names = {alias: table for table, alias in _ALIAS.findall(statement)} | {name: name for name in TABLES}
        return [step for step in steps if (found := _SQLITE_SCAN.match(step)) and found[1] in names]

    def _on_postgresql(self, cursor: Cursor, statement: str, values: Parameters) -> list[str]:
        (plan,) = cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", values).fetchone()
        return list(_whole_reads(json.loads(plan)[0]["Plan"]))


def _whole_reads(node: dict[str, Any]) -> Iterator[str]:
    """The nodes of a plan that read one of `TABLES`, or all rows of a Page in it, from end to end."""
    if node["Node Type"].endswith("Scan") and node.get("Relation Name") in TABLES:
        condition = node.get("Index Cond", node.get("Recheck Cond", ""))
        is_filtered = _names_a_key(node.get("Filter", "")) and not _names_a_key(condition)
        if not condition or is_filtered:
            yield f"{node['Node Type']} of {node['Relation Name']}"
    for inner in node.get("Plans", ()):
        yield from _whole_reads(inner)


def _names_a_key(condition: str) -> bool:
    return not _KEYS.isdisjoint(re.findall(r"\w+", condition))


@contextmanager
def explained(store: Store, *, at_least: int = 1) -> Iterator[None]:
    """Fails at its end where a statement sent meanwhile reads a table whole."""
    plans = Plans()
    event.listen(store.engine, "before_cursor_execute", plans.note)
    try:
        yield
    finally:
        event.remove(store.engine, "before_cursor_execute", plans.note)
    assert plans.explained >= at_least, "the statements were not seen"
    assert not plans.scans, "\n\n".join(dict.fromkeys(plans.scans))


def fill(store: Store, *, is_analyzed: bool = True) -> None:
    """Another Page's conversations; the planners know of them if `is_analyzed`."""
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="999",
            platform=Platform.MESSENGER,
            account_id="999",
            name="A Page",
            access_token_encrypted="x",
            now=NOW,
        )
        of_conversation = {
            "page_id": page.id,
            "platform": "messenger",
            "folder": "inbox",
            "conversation_status": "active",
            "has_older_messages": True,
            "created_at": NOW,
            "updated_at": NOW,
        }
        numbers = range(CONVERSATIONS)
        connection.execute(
            insert(messenger_conversations),
            [
                of_conversation
                | {
                    "id": f"c{i}",
                    "conversation_id": f"t_{i}",
                    "sender_id": f"s{i}",
                    "last_message_time": NOW - timedelta(hours=i),
                    "source_updated_at": NOW - timedelta(hours=i),
                }
                for i in numbers
            ],
        )
        connection.execute(
            insert(messages),
            [
                {
                    "conversation_id": f"c{i}",
                    "message_id": f"m_{i}_{place}",
                    "sent_at": NOW - timedelta(hours=i, minutes=place),
                    "is_from_page": place % 2 == 0,
                    "text": "call 0171 2345678" if place == 1 else "hello",
                    "source": "initial_sync",
                    "created_at": NOW,
                }
                for i in numbers
                for place in range(MESSAGES_EACH)
            ],
        )
    if is_analyzed:
        analyze(store)


def analyze(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("ANALYZE")


def conversation(
    name: str, numbers: list[int], *, at: datetime = NOW, text: str = "hello", has_older: bool = True
) -> Conversation:
    return Conversation(
        conversation_id=name,
        source_updated_at=at,
        contact=Participant(id=f"of {name}"),
        messages=tuple(
            Message(
                message_id=f"{name}_{number}",
                sent_at=at - timedelta(minutes=9 - number),
                sender_id="7",
                text=text,
            )
            for number in reversed(numbers)
        ),
        has_older_messages=has_older,
    )


def sync(engine: Engine, **options: Fields) -> Run:
    async def go() -> Run:
        with engine.store.read() as connection:
            (page,) = [each for each in list_pages(connection) if each.facebook_page_id != "999"]
        async with engine.source() as source, engine.stop() as stop:
            one = engine.page_sync(source, page, options=SyncOptions(**options), stop=stop, listener=ignore)
            return (await one.run()).run

    return asyncio.run(go())


@pytest.mark.parametrize("is_analyzed", [True, False], ids=["with statistics", "without"])
def test_a_batch_of_whatever_kind_scans_nothing(store: Store, page: Page, is_analyzed: bool) -> None:
    fill(store, is_analyzed=is_analyzed)

    def put(*served: Conversation) -> Written:
        with store.write() as connection:
            return upsert_batch(connection, page, served, folder="inbox", source="initial_sync", now=NOW)

    names = [f"x_{i}" for i in range(20)]
    later = NOW + timedelta(minutes=5)
    with explained(store, at_least=10):
        put(*(conversation(name, [5, 6]) for name in names))
        put(*(conversation(name, [5, 6]) for name in names))
        put(*(conversation(name, [6, 7], at=later, text="edited") for name in names))
        put(conversation("x_1", [1, 2], at=NOW - timedelta(hours=1)))
        gaps = put(*(conversation(name, [9], at=later) for name in names))
        assert len(gaps.found_gaps) == len(names)
        with store.write() as connection:
            new = conversation("x_1", [3, 4]).messages
            assert upsert_message_batch(connection, page, "x_1", new, source="history_sync", now=NOW) == 2
            set_has_older_messages(connection, page, "x_1", value=False, now=NOW)
            assert mark_gone(connection, page, names, now=NOW) == mark_active(
                connection, page, names, now=NOW
            )


def test_a_run_scans_nothing_whether_it_finds_anything_or_not(
    serve: Callable[..., Any], engine_for: Callable[..., Engine], url: str
) -> None:
    served = serve(conversations=120, messages=(1, 80), folders={"page_done": 20})
    engine = engine_for(served, database_url=url)
    fill(engine.store)
    added = engine.add_page(
        served.page.page_id, platform=Platform.MESSENGER, token=served.page.token, name=None
    )
    asyncio.run(added)
    with explained(engine.store, at_least=100):
        first = sync(engine, history=History.ALL)
        assert first.status is RunStatus.COMPLETE
        assert first.counts.events > 120 * 20, "histories were read too"
        nothing = sync(engine)
        assert nothing.counts.events == nothing.counts.updated == 0
        for slot in range(12):
            served.page.write(slot, "news")
        assert sync(engine).counts.events == 12


def test_a_derive_pass_scans_nothing(store: Store, page: Page) -> None:
    fill(store)
    one = Derive(store=store, clock=SystemClock(), region="DE")
    assert one.run().messages == CONVERSATIONS * MESSAGES_EACH
    analyze(store)

    def put(*numbers: int, text: str) -> None:
        served = [conversation(f"x_{i}", list(numbers), text=text) for i in range(20)]
        with store.write() as connection:
            upsert_batch(connection, page, served, folder="inbox", source="initial_sync", now=NOW)

    put(1, 2, 3, text="ann@example.com")
    with explained(store, at_least=10):
        assert one.run().messages == 60
    put(1, 2, 3, 4, text="edited")
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM messenger_conversations WHERE conversation_id = 'x_7'")
    with explained(store, at_least=10):
        assert one.run().messages == 76


def test_a_derive_pass_for_another_region_scans_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "_AGAIN_A_BATCH", 50)
    fill(store)
    assert Derive(store=store, clock=SystemClock(), region="DE").run().is_current
    analyze(store)
    with explained(store, at_least=10):
        assert Derive(store=store, clock=SystemClock(), region="US").run().is_current
