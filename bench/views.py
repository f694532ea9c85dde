"""Every view of the dashboard at 100,000 conversations and 1,000,000 messages, and with an empty database.

    .venv/bin/python bench/views.py [--conversations 100000] [--keep FOLDER] [--only SQLite]

The databases are filled by the code of `bench/reads.py`. Each view is requested 30 times over HTTP, one after
the other, with a session, at different places of its list. The figure is the 95th percentile in milliseconds,
from the request to the last byte. In brackets is the processor time of it: on a machine with other work, the
rest is waiting.
"""

import argparse
import logging
import random
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import structlog
from reads import DATA, NOW, add_page, fill, note
from speed import postgresql

from inboxsync.api import create_app
from inboxsync.api.middleware import Server
from inboxsync.api.schemas import encode_key, filter_mark
from inboxsync.engine import Engine
from inboxsync.settings import Settings
from inboxsync.store.reading import ConversationFilter, list_conversations, list_overviews
from inboxsync.web import mount_dashboard
from inboxsync.workers import RunQueue

TIMES = 30
TARGET_MS = 150
SOME = 200
Places = Callable[[], str]


def main() -> None:
    """Fill both databases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument(
        "--keep", type=Path, help="make the SQLite database here, or use the one that is there"
    )
    parser.add_argument("--only", choices=("SQLite", "PostgreSQL"), help="only one of the databases")
    asked = parser.parse_args()
    # Else most of the output would be a line for every request.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as made, postgresql() as server:
        urls = {"SQLite": f"sqlite:///{(asked.keep or Path(made)) / 'views.db'}"}
        if server is not None:
            urls["PostgreSQL"] = server
        urls = {name: url for name, url in urls.items() if asked.only in (None, name)}
        columns = {}
        for name, url in urls.items():
            empty = url if server == url else f"sqlite:///{Path(made) / 'empty.db'}"
            columns[f"{name}, empty"] = measure(empty, 0, schema="views_empty", folder=Path(made))
            columns[name] = measure(url, asked.conversations, schema="views", folder=Path(made))
    print(f"\n| p95, ms | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for view in next(iter(columns.values())):
        both = (times[view] for times in columns.values())
        print(f"| {view} | {' | '.join(f'{took:.0f} ({worked:.0f})' for took, worked in both)} |")
    slow = {view for times in columns.values() for view, took in times.items() if took[0] > TARGET_MS}
    print(f"\nOver {TARGET_MS} ms: {', '.join(sorted(slow)) or 'none'}.")


def measure(url: str, conversations: int, *, schema: str, folder: Path) -> dict[str, tuple[float, float]]:
    """The 95th percentile of every view, by its name."""
    is_server = url.startswith("postgres")
    settings = Settings(
        data_dir=folder / schema, database_url=url, database_schema=schema if is_server else None
    )
    engine = Engine(settings)
    with engine.store.read() as connection:
        stored = sum(each.conversations for each in list_overviews(connection))
    if stored < conversations:
        fill(engine.store, conversations, DATA)
    elif not conversations:
        with engine.store.write() as connection:
            add_page(connection, "1")
    note(f"{url.partition(':')[0]}: {engine.derive()}")
    with served(engine) as client:
        times = {name: p95(client, place) for name, place in views(engine, client).items()}
    engine.close()
    return times


def p95(client: httpx2.Client, place: Places) -> tuple[float, float]:
    """Milliseconds, and how many of them were processor time of this process; the first is left out."""
    took, worked = [], []
    for _ in range(TIMES + 1):
        path = place()
        began, busy = time.perf_counter(), time.process_time()
        answer = client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - busy) * 1000)
        assert answer.is_success, (path, answer.status_code)
    return statistics.quantiles(took[1:], n=20)[-1], statistics.quantiles(worked[1:], n=20)[-1]


def views(engine: Engine, client: httpx2.Client) -> dict[str, Places]:
    """The path of each view; lists at a different place each time."""
    dice = random.Random(7)  # noqa: S311 - the same places every time
    with engine.store.read() as connection:
        pages = [each.page.id for each in list_overviews(connection)]
        some = list_conversations(connection, ConversationFilter(), limit=SOME).records
    threads = [each.id for each in some]
    run = re.search(r'href="/runs/([0-9a-f-]+)"', client.get("/runs").text)

    def at() -> tuple[datetime, str]:
        return NOW - timedelta(seconds=dice.randrange(8_000_000)), "m"

    def listed(path: str, kind: str, **asked: str) -> Places:
        """Anywhere in a list; a cursor belongs to its filter."""
        mark, filters = filter_mark(**asked), urlencode(asked)
        return lambda: f"{path}?{filters}&after={encode_key(kind, at(), mark=mark)}"

    def conversations(**asked: str) -> Places:
        return listed("/conversations", "conversations-view", **asked)

    def search(words: list[str], more: str = "") -> Places:
        return lambda: f"/search?q={dice.choice(words)}{more}"

    found: dict[str, Places] = {
        "Pages": lambda: "/",
        "Pages that need a person": lambda: "/?state=person&sort=-messages",
        "a Page": lambda: f"/pages/{dice.choice(pages)}",
        "conversations, the newest": lambda: "/conversations",
        "conversations, anywhere": conversations(),
        "conversations of a Page": conversations(page=pages[0]),
        "conversations, unread": conversations(unread="1"),
        "conversations, unanswered": conversations(unanswered="1"),
        "conversations in spam": conversations(folder="spam"),
        "conversations with a phone number": conversations(phone="1"),
        "conversations, the oldest": lambda: "/conversations?sort=oldest",
        "conversations of people with a name": lambda: "/conversations?named=a&unread=1",
        "a thread": lambda: f"/conversations/{dice.choice(threads)}" if threads else "/conversations",
        "contacts": listed("/contacts", "contacts-view"),
        "contacts with an address": listed("/contacts", "contacts-view", email="1"),
        "contacts, by name": lambda: "/contacts?sort=name",
        "contacts, a common name": lambda: "/contacts?named=a",
        "contacts, two words of a name": lambda: "/contacts?named=an+m&sort=messages",
        "search, common words": search(["you", "the", "what", "can"]),
        "search, rare words": search(["thermostat", "linux", "hotel", "banana"]),
        "search, by rank": search(["you", "apartment+balcony"], "&order=rank"),
        "runs": lambda: "/runs",
        "exports": lambda: "/exports",
        "settings": lambda: "/settings",
    }
    if run is not None:
        found["a run"] = lambda: f"/runs/{run[1]}"
    return found


@contextmanager
def served(engine: Engine) -> Iterator[httpx2.Client]:
    """A client with a session in a dashboard over this engine."""
    app = create_app(engine, queue=RunQueue(engine))
    mount_dashboard(app)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `serve` does
    server = Server(app, trusted_proxies="127.0.0.1")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    with httpx2.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
        assert token is not None
        client.post("/login", data={"csrf": token[1]})
        yield client
    server.should_exit = True
    thread.join(timeout=10)


if __name__ == "__main__":
    main()
