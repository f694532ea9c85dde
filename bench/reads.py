"""Every list, total and search at 100,000 conversations and 1,000,000 messages, beside an empty database.

    .venv/bin/python bench/reads.py [--conversations 100000] [--keep FOLDER] [--texts FILE]

Texts are from ../shared/data where that is, else made up. Each read is made 30 times at different places,
in a transaction of its own; what counts is the 95th percentile, in milliseconds.
"""

import argparse
import gzip
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from speed import postgresql
from sqlalchemy import Connection

from inboxsync.clock import SystemClock
from inboxsync.model import Conversation, Message, Page, Participant, Platform
from inboxsync.store import Store
from inboxsync.store.reading import (
    ContactFilter,
    ConversationFilter,
    get_conversation,
    list_contacts,
    list_conversations,
    list_messages,
    list_overviews,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.search import Order, parse_query, search_messages
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.sync import Derive

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "shared" / "data" / "conversations.ndjson.gz"
TIMES = 30
# How many of all conversations, or messages, are such.
SPAM, UNREAD, WITH_DETAILS, FROM_PAGE = 0.01, 0.05, 0.002, 0.45
Read = Callable[[Connection], object]


def main() -> None:
    """Fill both databases, derive, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="make the SQLite database here, or use the one that is")
    parser.add_argument("--sqlite-only", action="store_true")
    parser.add_argument("--texts", type=Path, default=DATA, help="conversations whose texts are taken")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, postgresql() as server:
        folder = asked.keep or Path(made)
        urls = {"SQLite": f"sqlite:///{folder / 'reads.db'}"}
        if server is not None and not asked.sqlite_only:
            urls["PostgreSQL"] = server
        columns = {}
        for name, url in urls.items():
            columns[f"{name}, empty"] = measure(
                url, 0, schema_name="reads_empty", folder=Path(made), texts=asked.texts
            )
            columns[name] = measure(
                url, asked.conversations, schema_name="reads", folder=folder, texts=asked.texts
            )
    print(f"\n| p95, ms | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for read in next(iter(columns.values())):
        print(f"| {read} | {' | '.join(f'{times[read]:.1f}' for times in columns.values())} |")


def measure(url: str, conversations: int, *, schema_name: str, folder: Path, texts: Path) -> dict[str, float]:
    """The 95th percentile of every read, by its name."""
    is_server = url.startswith("postgres")
    if not is_server and not conversations:
        url = f"sqlite:///{folder / 'empty.db'}"
    store = Store.open(url, schema_name=schema_name if is_server else None)
    with store.read() as connection:
        stored = sum(each.conversations for each in list_overviews(connection))
    if stored < conversations:
        fill(store, conversations, texts)
    began = time.perf_counter()
    done = Derive(store=store, clock=SystemClock(), region="US").run()
    if done.messages:
        seconds = time.perf_counter() - began
        note(f"{url.split(':')[0]}: derived from {done.messages:,} messages in {seconds:.1f} s")
    times = {name: p95(store, read) for name, read in reads(store).items()}
    store.close()
    return times


def p95(store: Store, read: Read) -> float:
    """Milliseconds, a transaction each; the first is left out."""
    took = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        with store.read() as connection:
            read(connection)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(took[1:], n=20)[-1]


def reads(store: Store) -> dict[str, Read]:
    """What is measured."""
    dice = random.Random(7)  # noqa: S311 - the same places every time
    with store.read() as connection:
        pages = [each.page.id for each in list_overviews(connection)] or [""]
        some = list_conversations(connection, ConversationFilter(), limit=200).records
    ids, people = [each.id for each in some] or [""], [each.sender_id for each in some] or [""]

    def somewhere() -> tuple[datetime, str]:
        return NOW - timedelta(seconds=dice.randrange(8_000_000)), "m"

    def listed(**wanted: str | bool) -> Read:
        return lambda connection: list_conversations(
            connection, ConversationFilter(page_id=dice.choice(pages), **wanted), after=somewhere()
        )

    found: dict[str, Read] = {
        "conversations of all Pages": lambda connection: list_conversations(
            connection, ConversationFilter(), after=somewhere()
        ),
        "conversations of a Page": listed(),
        "of a folder with few": listed(folder="spam"),
        "unread": listed(is_unread=True),
        "unanswered": listed(is_unanswered=True),
        "with a phone number": listed(has_phone=True),
        "with an e-mail address, unread": listed(has_email=True, is_unread=True),
        "of a contact": lambda connection: list_conversations(
            connection, ConversationFilter(page_id=pages[0], sender_id=dice.choice(people))
        ),
        "one conversation": lambda connection: get_conversation(connection, dice.choice(ids)),
        "its messages": lambda connection: list_messages(connection, dice.choice(ids)),
        "contacts": lambda connection: list_contacts(
            connection, ContactFilter(page_id=dice.choice(pages)), after=somewhere()
        ),
        "contacts that wait": lambda connection: list_contacts(connection, ContactFilter(is_unanswered=True)),
        "overview of all Pages": list_overviews,
        "messages by day": lambda connection: messages_by_day(connection, pages[0]),
        "messages by weekday and hour": lambda connection: messages_by_weekday_and_hour(connection, None),
    }
    searches = {
        "a word in every tenth": ["you", "the", "what", "can"],
        "rare words": ["thermostat", "linux", "hotel", "banana", "kernel"],
        "two words": ["apartment balcony", "thank kernel", "hello money", "ubuntu water"],
        "a phrase": ['"thank you"', '"you thank"', '"how are you"', '"i need to"'],
        "a beginning": ["a*", "th*", "app*", "ubun*", "zebr*"],
        "nothing": ["qqqq", "you qqqq", '"the the the"'],
    }
    for name, texts in searches.items():
        found[f"search: {name}"] = searching(dice, texts)
        found[f"search: {name}, one Page"] = searching(dice, texts, page_id=pages[-1])
    found["search: by rank"] = searching(dice, ["you", "apartment balcony", '"thank you"'], order=Order.RANK)
    return found


def searching(
    dice: random.Random, texts: list[str], *, order: Order = Order.NEWEST, page_id: str | None = None
) -> Read:
    """One of these, looked for."""
    queries = [parse_query(text) for text in texts]
    return lambda connection: search_messages(connection, dice.choice(queries), page_id=page_id, order=order)


def fill(store: Store, conversations: int, source: Path) -> None:
    """Three Pages of different sizes, ten messages a conversation on average."""
    began = time.perf_counter()
    dice = random.Random(1)  # noqa: S311 - the same world every time
    texts = list(real_texts(source)) or [f"hello number {i} where is my order" for i in range(10_000)]
    for number, share in (("1", 0.8), ("2", 0.15), ("3", 0.05)):
        with store.write() as connection:
            page = add_page(connection, number)
        size = int(conversations * share)
        for start in range(0, size, 500):
            made = [conversation(dice, texts, number, i) for i in range(start, min(start + 500, size))]
            folders: dict[str, list[Conversation]] = {}
            for one in made:
                folders.setdefault("spam" if dice.random() < SPAM else "inbox", []).append(one)
            for folder, each in folders.items():
                with store.write() as connection:
                    upsert_batch(connection, page, each, folder=folder, source="initial_sync", now=NOW)
    note(f"filled in {time.perf_counter() - began:.0f} s")


def conversation(dice: random.Random, texts: list[str], page: str, number: int) -> Conversation:
    """Newest first."""
    contact = Participant(id=f"{page}{number:08}", name=f"Person {number}")
    at = NOW - timedelta(seconds=number * 100 + dice.randrange(100))
    messages = []
    for nth in range(min(1 + int(dice.expovariate(1 / 9.5)), 60)):
        text = dice.choice(texts)
        if dice.random() < WITH_DETAILS:
            text += " call me: 212 555 2368, ann@example.com"
        is_from_page = dice.random() < FROM_PAGE
        messages.append(
            Message(
                message_id=f"m_{page}{number:08}{nth:04}{'x' * 60}",
                sent_at=at - timedelta(seconds=nth * dice.randrange(30, 90_000)),
                is_from_page=is_from_page,
                sender_id=page if is_from_page else contact.id,
                text=text,
            )
        )
    messages.sort(key=lambda message: message.sent_at or NOW, reverse=True)
    return Conversation(
        conversation_id=f"t_{page}{number:010}",
        source_updated_at=at,
        contact=contact,
        participants=(contact,),
        snippet=messages[0].text,
        unread_count=int(dice.random() < UNREAD),
        messages=tuple(messages),
    )


def add_page(connection: Connection, number: str) -> Page:
    """A Page that is never asked for anything."""
    page, _ = upsert_page(
        connection,
        facebook_page_id=number,
        platform=Platform.MESSENGER,
        account_id=number,
        name=f"Page {number}",
        access_token_encrypted="",
        now=NOW,
    )
    return page


def real_texts(source: Path) -> Iterator[str]:
    """What people wrote."""
    if not source.exists():
        return
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from (message["text"] for message in json.loads(line)["messages"] if message["text"])


def note(text: str) -> None:
    """For who waits."""
    print(text, file=sys.stderr)


if __name__ == "__main__":
    main()
