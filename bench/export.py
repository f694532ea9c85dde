"""1,000,000 messages exported in every format, from SQLite and from PostgreSQL: seconds and memory.

    make bench

Each export is a process of its own, as users run it. The memory is its maximum, as the kernel counts it. The
bench fails if an export takes more than 150 MB. Conversations, contacts and the activity report are measured
twice: before the derive pass, when they are derived from the messages, and after it.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from speed import postgresql

from inboxsync.model import Platform
from inboxsync.reports.folders import check_folder
from inboxsync.reports.manifest import check_file
from inboxsync.store import Store
from inboxsync.store.state.pages import upsert_page

MESSAGES_EACH = 10
MOST_BYTES = 150_000_000
TEXT = "Is the blue one still in stock? We would need two of them by Friday, if possible."
ROWS = {
    "sqlite": {
        "numbers": "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
        "SELECT i FROM n",
        "time": "strftime('%Y-%m-%dT%H:%M:%S.000Z', 1767225600 + 600 * {i} + 40 * {j}, 'unixepoch')",
        "id": "printf('{kind}%012d', {i})",
        "false": "0",
    },
    "postgresql": {
        "numbers": "SELECT i FROM generate_series(0, {last}) AS n (i)",
        "time": "to_timestamp(1767225600 + 600 * {i} + 40 * {j})",
        "id": "'{kind}' || lpad(({i})::text, 12, '0')",
        "false": "false",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """One command: its seconds, its maximum of memory, and the bytes that it wrote."""

    seconds: float
    most_bytes: int
    written: int


def main() -> None:
    """Fill a database of each kind, export it in every format, and print a table for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", choices=["SQLite", "PostgreSQL"], help="only this one")
    parser.add_argument("--formats", nargs="+", default=["csv", "ndjson", "parquet", "xlsx"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, postgresql() as server:
        for name, url in (("SQLite", f"sqlite:///{made}/inboxsync.db"), ("PostgreSQL", server)):
            if asked.database not in {None, name}:
                continue
            if url is None:
                print(f"\n{name}: no server found, left out.")
                continue
            fill(url, conversations=asked.messages // MESSAGES_EACH)
            print(f"\n### {asked.messages:,} messages, {name}\n")
            print("| export | seconds | rows/s | MB written | most memory, MB |")
            print("| --- | ---: | ---: | ---: | ---: |")
            for what, rows, took in exports(url, Path(made), asked.messages, asked.formats):
                print(
                    f"| {what} | {took.seconds:.1f} | {rows / took.seconds:,.0f} | {took.written / 1e6:,.0f} "
                    f"| {took.most_bytes / 1e6:.0f} |",
                    flush=True,
                )
                assert took.most_bytes <= MOST_BYTES, (name, what, took)


def exports(url: str, folder: Path, messages: int, formats: list[str]) -> Iterator[tuple[str, int, Took]]:
    """Each export: its name, its rows, and what it took."""
    conversations = messages // MESSAGES_EACH
    for chosen in formats:
        path = folder / f"messages.{chosen}"
        took = run(url, "export", "messages", "-o", str(path))
        assert check_file(path).rows == messages
        yield f"messages, {chosen}", messages, took
        path.unlink()
    # To export contacts derives first, so what comes before it is derived from the messages.
    for what, when in (
        *(("conversations", ", not derived yet"), ("activity", ", not derived yet")),
        *(("contacts", ", derived first"), ("contacts", ""), ("conversations", ""), ("activity", "")),
    ):
        path = folder / f"{what}.csv"
        if what == "activity":
            yield f"report activity{when}", messages, run(url, "report", "activity", "--json")
            continue
        took = run(url, "export", what, "-o", str(path))
        assert check_file(path).rows == conversations
        yield f"{what}, csv{when}", conversations, took
    archive = folder / f"archive-{url.partition(':')[0]}"
    took = run(url, "export", "html", "104", "-o", str(archive))
    assert check_folder(archive).conversations == conversations
    yield "archive, html", conversations, took
    yield "report response-times", messages, run(url, "report", "response-times", "--json")


def run(url: str, *arguments: str) -> Took:
    """A command to its end."""
    environment = os.environ | {"INBOXSYNC_DATABASE_URL": url}
    target = Path(arguments[arguments.index("-o") + 1]) if "-o" in arguments else None
    began = time.perf_counter()
    process = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "inboxsync", *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    return Took(seconds=seconds, most_bytes=used.ru_maxrss * 1024, written=size_of(target) if target else 0)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size


def fill(url: str, *, conversations: int) -> None:
    """A Page with so many conversations of ten messages each, made by the database itself."""
    now = datetime.now(UTC)
    with closing(Store.open(url)) as store, store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name="A Page",
            access_token_encrypted="-",  # noqa: S106 - it opens nothing
            now=now,
        )
        words = ROWS[connection.dialect.name]
        numbers = words["numbers"].format(last=conversations - 1)
        each = words["numbers"].format(last=MESSAGES_EACH - 1)
        row_id, graph_id, contact = (words["id"].format(kind=kind, i="a.i") for kind in ("01", "t_", "24"))
        message_id = words["id"].format(kind="m_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", i="a.i * 10 + b.i")
        sent_at = words["time"].format(i="a.i", j="b.i")
        last_at = words["time"].format(i="a.i", j=str(MESSAGES_EACH - 1))
        connection.exec_driver_sql(
            "INSERT INTO messenger_conversations (id, page_id, conversation_id, platform, folder, sender_id, "
            "sender_name, last_message, last_message_time, conversation_status, has_older_messages, "
            f"created_at, updated_at) SELECT {row_id}, '{page.id}', {graph_id}, 'messenger', 'inbox', "
            f"{contact}, 'Ann', '{TEXT}', {last_at}, 'active', {words['false']}, {last_at}, {last_at} "
            f"FROM ({numbers}) AS a"
        )
        connection.exec_driver_sql(
            "INSERT INTO messages (conversation_id, message_id, sent_at, is_from_page, sender_id, text, "
            f"source, created_at) SELECT {row_id}, {message_id}, {sent_at}, b.i IN (1, 4, 7), {contact}, "
            f"'{TEXT}', 'initial_sync', {sent_at} FROM ({numbers}) AS a, ({each}) AS b"
        )
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE messenger_conversations")
            connection.exec_driver_sql("ANALYZE messages")


if __name__ == "__main__":
    main()
