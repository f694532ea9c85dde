"""Holds what is stored against what the sandbox serves, by plain HTTP and plain SQL.

Shares no code with inboxsync, so that a mistake of its own cannot hide itself.
"""

import http.client
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from floor import answers
from served import FIELDS
from sqlalchemy import create_engine, text

_IDS_A_CALL = 50
_SAMPLE = 2_000
# (conversation, name of the contact) and (message, time, sender, text), as sets.
Contents = tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]


def compare_all(ready: dict[str, Any], database: "Database") -> None:
    """Every conversation and message of the list; raises AssertionError for the first that differs."""
    listed = 0
    for answer in answers(ready):
        listed += len(answer["data"])
        _compare(answer["data"], database, ready["page_id"])
    assert database.count() == listed, (database.count(), listed)


def compare_sample(ready: dict[str, Any], database: "Database") -> None:
    """Some thousand conversations, chosen at random among those stored."""
    chosen = database.sample(_SAMPLE)
    connection = http.client.HTTPConnection("127.0.0.1", ready["port"])
    headers = {
        "Authorization": f"Bearer {ready['token']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    for at in range(0, len(chosen), _IDS_A_CALL):
        wanted = [
            {"method": "GET", "relative_url": f"{each}?{urlencode({'fields': FIELDS})}"}
            for each in chosen[at : at + _IDS_A_CALL]
        ]
        form = urlencode({"batch": json.dumps(wanted), "include_headers": "false"})
        connection.request("POST", "/v27.0/", form, headers)
        answers_of_batch = json.loads(connection.getresponse().read())
        _compare([json.loads(each["body"]) for each in answers_of_batch], database, ready["page_id"])
    connection.close()


class Database:
    """What is stored, read by plain SQL."""

    def __init__(self, url: str, schema: str | None = None) -> None:
        self._engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self._prefix = f'"{schema}".' if schema else ""

    def count(self) -> int:
        """How many conversations."""
        with self._engine.connect() as connection:
            found = connection.execute(text(f"SELECT COUNT(*) FROM {self._prefix}messenger_conversations"))
            return int(found.scalar_one())

    def size(self) -> tuple[int, ...]:
        """Bytes of both tables and of their indexes, on PostgreSQL; elsewhere nothing."""
        if self._engine.dialect.name != "postgresql":
            return ()
        query = text("SELECT pg_relation_size(CAST(:n AS regclass)), pg_indexes_size(CAST(:n AS regclass))")
        names = (f"{self._prefix}{name}" for name in ("messenger_conversations", "messages"))
        with self._engine.connect() as connection:
            return tuple(size for n in names for size in connection.execute(query, {"n": n}).one())

    def sample(self, count: int) -> list[str]:
        """Graph's ids of so many, chosen at random."""
        query = (
            f"SELECT conversation_id FROM {self._prefix}messenger_conversations ORDER BY random() LIMIT :n"
        )
        with self._engine.connect() as connection:
            return list(connection.execute(text(query), {"n": count}).scalars())

    def contents(self, ids: list[str]) -> Contents:
        """What is stored of these conversations."""
        names = ", ".join(f":i{place}" for place in range(len(ids)))
        values = {f"i{place}": each for place, each in enumerate(ids)}
        conversations = (
            f"SELECT conversation_id, sender_name FROM {self._prefix}messenger_conversations "
            f"WHERE conversation_id IN ({names})"
        )
        messages = (
            f"SELECT c.conversation_id, m.message_id, m.sent_at, m.sender_id, m.text "
            f"FROM {self._prefix}messenger_conversations AS c JOIN {self._prefix}messages AS m "
            f"ON m.conversation_id = c.id WHERE c.conversation_id IN ({names})"
        )
        with self._engine.connect() as connection:
            return (
                {tuple(row) for row in connection.execute(text(conversations), values)},
                {
                    (owner, message, _seconds(sent_at), sender, words)
                    for owner, message, sent_at, sender, words in connection.execute(text(messages), values)
                },
            )


def _compare(entries: list[dict[str, Any]], database: Database, page_id: str) -> None:
    conversations = {(each["id"], _contact(each, page_id)) for each in entries}
    messages = {
        (
            each["id"],
            message["id"],
            message["created_time"][:19],
            message.get("from", {}).get("id"),
            message.get("message"),
        )
        for each in entries
        for message in each["messages"]["data"]
    }
    stored = database.contents([each["id"] for each in entries])
    for name, served, have in (
        ("conversations", conversations, stored[0]),
        ("messages", messages, stored[1]),
    ):
        assert served == have, (name, sorted(served ^ have, key=str)[:4])


def _contact(entry: dict[str, Any], page_id: str) -> str | None:
    """The first who is not the Page; of an account that is gone the messages alone tell."""
    senders = [message["from"] for message in entry["messages"]["data"] if "from" in message]
    others = [
        each.get("name") for each in (*entry["participants"]["data"], *senders) if each["id"] != page_id
    ]
    return others[0] if others else None


def _seconds(at: str | datetime) -> str:
    """A stored time as the source writes it, to the second: text on SQLite, a time on PostgreSQL."""
    return (at if isinstance(at, str) else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"))[:19]
