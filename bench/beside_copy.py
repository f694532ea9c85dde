"""CSV and NDJSON beside what the database's own tool needs for the same query: `sqlite3 -csv`, COPY.

    .venv/bin/python bench/beside_copy.py

For SQLite processor seconds of both, for PostgreSQL seconds of the clock: there the server works too. The
best of several, one after the other in turn. The share should be 0.3 or more.
"""

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from export import fill
from speed import postgresql

from inboxsync.clock import SystemClock
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.store import Store
from inboxsync.sync import Derive

_DETAILS = (
    "(SELECT {joined}(d.value, '; ') FROM contact_details d JOIN messenger_conversations k "
    "ON k.id = d.conversation_id WHERE k.page_id = c.page_id AND k.sender_id = c.sender_id "
    "AND d.kind = '{kind}')"
)
_PAGE = "p.facebook_page_id, p.name, p.platform"
QUERIES = {
    What.MESSAGES: f"SELECT {_PAGE}, c.conversation_id, c.sender_id, c.sender_name, m.message_id, "
    "m.sent_at, CASE WHEN m.is_from_page THEN 'out' ELSE 'in' END, m.sender_id, m.sender_name, m.text, "
    "m.attachments, m.shares, m.sticker, m.reactions, m.story, m.reply_to_message_id, m.source "
    "FROM facebook_pages p JOIN messenger_conversations c ON c.page_id = p.id "
    "JOIN messages m ON m.conversation_id = c.id WHERE m.is_readable "
    "ORDER BY p.facebook_page_id, c.conversation_id, m.sent_at, m.is_from_page, "
    "m.message_id",
    What.CONVERSATIONS: f"SELECT {_PAGE}, c.conversation_id, c.sender_id, c.sender_name, c.folder, "
    "c.conversation_status, f.first_message_at, c.last_message_time, c.last_message, f.last_sender, "
    "f.unanswered_since_at, f.last_contact_message_at, f.first_response_seconds, f.messages_from_contact, "
    "f.messages_from_page, c.message_count, c.unread_count, c.has_older_messages, c.link "
    "FROM facebook_pages p JOIN messenger_conversations c ON c.page_id = p.id "
    "LEFT JOIN conversation_facts f ON f.conversation_id = c.id "
    "ORDER BY p.facebook_page_id, c.conversation_id",
    What.CONTACTS: f"SELECT {_PAGE}, c.sender_id, c.name, c.name_source, c.first_message_at, c.listed_at, "
    "c.conversations, c.messages_from_contact, c.messages_from_page, c.unanswered_since_at, "
    "c.last_contact_message_at, c.has_older_messages, {phones}, {emails} FROM facebook_pages p "
    "JOIN contacts c ON c.page_id = p.id ORDER BY p.facebook_page_id, c.sender_id",
}


def main() -> None:
    """Fill a database of each kind, and print a line for each table and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=30_000)
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    print("| export | rows | own tool, s | here, s | rows/s | share |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder, postgresql() as server:
        for name, url in (("SQLite", f"sqlite:///{folder}/inboxsync.db"), ("PostgreSQL", server)):
            if url is None:
                continue
            fill(url, conversations=asked.conversations)
            with closing(Store.open(url)) as store:
                Derive(store=store, clock=SystemClock()).run()
                compare(name, store, Path(folder), times=asked.times)


def compare(name: str, store: Store, folder: Path, *, times: int) -> None:
    """One line for each table and format."""
    is_sqlite = name == "SQLite"
    joined = "group_concat" if is_sqlite else "string_agg"
    details = {f"{kind}s": _DETAILS.format(joined=joined, kind=kind) for kind in ("phone", "email")}
    own, clock = (with_sqlite3, processor) if is_sqlite else (with_copy, time.perf_counter)
    for what, asked in QUERIES.items():
        query = asked.format(**details)
        for chosen in (Format.CSV, Format.NDJSON):
            theirs, ours, rows = [], [], 0
            for _ in range(times):
                began = clock()
                own(store, query, folder / "theirs")
                theirs.append(clock() - began)
                began = clock()
                rows = export(store, what, chosen, folder / "ours")
                ours.append(clock() - began)
            best = min(ours)
            print(
                f"| {what}, {chosen}, {name} | {rows:,} | {min(theirs):.2f} | {best:.2f} "
                f"| {rows / best:,.0f} | {min(theirs) / best:.2f} |",
                flush=True,
            )


def processor() -> float:
    """Seconds of this process and of its children that have ended."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def with_sqlite3(store: Store, query: str, path: Path) -> None:
    """What the command line of SQLite writes."""
    sqlite3 = shutil.which("sqlite3")
    assert sqlite3 is not None, "sqlite3 is not installed"
    with path.open("wb") as file:
        subprocess.run([sqlite3, "-csv", str(store.engine.url.database), query], stdout=file, check=True)


def with_copy(store: Store, query: str, path: Path) -> None:
    """What PostgreSQL's COPY sends."""
    with store.read() as connection, path.open("wb") as file:
        cursor = connection.connection.cursor()
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:  # type: ignore[attr-defined]
            for part in copy:
                file.write(part)


def export(store: Store, what: What, chosen: Format, path: Path) -> int:
    """The rows of an export that is written to this file."""
    request = ExportRequest(what=what, format=chosen)
    with closing(Export(store, request, now=datetime.now(UTC))) as made, path.open("wb") as file:
        for part in made.chunks():
            file.write(part)
        return made.rows


if __name__ == "__main__":
    main()
