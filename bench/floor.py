"""The floor: http.client, json and executemany over one kept-alive connection, and nothing else.

One chain, no retries, no resume, no upsert, no progress: what a script would do on a good day.
"""

import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from served import BATCH, FIELDS

_TABLES = (
    "CREATE TABLE conversations (id TEXT PRIMARY KEY, updated_at TEXT, name TEXT, snippet TEXT)",
    "CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT, at TEXT, sender TEXT, text TEXT)",
)


def plain_loop(ready: dict[str, Any], path: Path) -> tuple[float, int, int]:
    """Fetch, parse, insert; returns seconds, conversations, messages."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    for table in _TABLES:
        database.execute(table)
    began = time.perf_counter()
    for answer in answers(ready):
        conversations, messages = rows(answer, ready["page_id"])
        with database:
            database.executemany("INSERT INTO conversations VALUES (?, ?, ?, ?)", conversations)
            database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", messages)
    seconds = time.perf_counter() - began
    stored = [
        database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
        for name in ("conversations", "messages")
    ]
    database.close()
    return seconds, *stored


def answers(ready: dict[str, Any], *, pause_seconds: float = 0.0) -> Iterator[dict[str, Any]]:
    """The list from its top to its bottom, one answer after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", ready["port"])
    query = urlencode({"limit": BATCH, "fields": FIELDS})
    headers = {"Authorization": f"Bearer {ready['token']}"}
    after: str | None = ""
    while after is not None:
        connection.request("GET", f"/v27.0/{ready['page_id']}/conversations?{query}{after}", headers=headers)
        answer = json.loads(connection.getresponse().read())
        yield answer
        has_next = "next" in answer["paging"]
        after = "&" + urlencode({"after": answer["paging"]["cursors"]["after"]}) if has_next else None
        time.sleep(pause_seconds)
    connection.close()


def rows(answer: dict[str, Any], page_id: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Conversations and messages of one answer, as tuples."""
    conversations, messages = [], []
    for entry in answer["data"]:
        names = [each.get("name") for each in entry["participants"]["data"] if each["id"] != page_id]
        conversations.append((entry["id"], entry["updated_time"], (names or [None])[0], entry.get("snippet")))
        for message in entry["messages"]["data"]:
            sender = message.get("from", {}).get("id")
            messages.append(
                (message["id"], entry["id"], message["created_time"], sender, message.get("message"))
            )
    return conversations, messages
