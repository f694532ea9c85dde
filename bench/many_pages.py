"""The dashboard's views with 10,000 Pages of three conversations each.

    .venv/bin/python bench/many_pages.py [--pages 10000] [--only SQLite]

Each view is asked for and told as in `bench/views.py`.
"""

import argparse
import logging
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog
from reads import NOW, add_page, conversation, note
from speed import postgresql
from sqlalchemy import Connection
from views import p95, served

from inboxsync.engine import Engine
from inboxsync.settings import Settings
from inboxsync.store import Store
from inboxsync.store.state.pages import list_pages
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.web.lists import cursor_of

CONVERSATIONS = 3
TEXTS = ["hello, where is my order?", "it was sent yesterday", "thank you", "is this still available?"]
# Pages that are filled in one transaction.
AT_ONCE = 500


def main() -> None:
    """Fill both databases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--only", choices=("SQLite", "PostgreSQL"), help="one of the databases alone")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as made, postgresql() as server:
        urls = {"SQLite": f"sqlite:///{Path(made) / 'pages.db'}"}
        if server is not None:
            urls["PostgreSQL"] = server
        columns = {
            name: measure(url, asked.pages, folder=Path(made) / name)
            for name, url in urls.items()
            if asked.only in (None, name)
        }
    print(f"\n| p95, ms | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for view in next(iter(columns.values())):
        both = (times[view] for times in columns.values())
        print(f"| {view} | {' | '.join(f'{took:.0f} ({worked:.0f})' for took, worked in both)} |")


def measure(url: str, pages: int, *, folder: Path) -> dict[str, tuple[float, float]]:
    """The 95th percentile of every view, by its name."""
    is_server = url.startswith("postgres")
    schema = "many_pages" if is_server else None
    engine = Engine(Settings(data_dir=folder, database_url=url, database_schema=schema))
    fill(engine.store, pages)
    note(f"{url.partition(':')[0]}: {engine.derive()}")
    with served(engine) as client:
        times = {name: p95(client, place) for name, place in views(engine).items()}
    engine.close()
    return times


def views(engine: Engine) -> dict[str, Callable[[], str]]:
    """Where each view is asked for."""
    dice = random.Random(7)  # noqa: S311 - the same places every time
    with engine.store.read() as connection:
        ids = [page.id for page in list_pages(connection)]

    def somewhere() -> str:
        return cursor_of(dice.choice(ids))

    return {
        "Pages": lambda: "/",
        "Pages, anywhere": lambda: f"/?after={somewhere()}",
        "Pages by name": lambda: f"/?named=page+{dice.randrange(len(ids))}",
        "Pages by name, none": lambda: "/?named=nobody",
        "a Page": lambda: f"/pages/{dice.choice(ids)}",
        "settings": lambda: f"/settings?after={somewhere()}",
        "conversations": lambda: "/conversations",
        "conversations of a Page": lambda: f"/conversations?page={dice.choice(ids)}",
        "contacts": lambda: "/contacts",
        "search": lambda: "/search?q=order",
        "runs": lambda: "/runs",
        "exports": lambda: "/exports",
    }


def fill(store: Store, pages: int) -> None:
    """So many Pages, each with a few conversations."""
    dice = random.Random(1)  # noqa: S311 - the same world every time
    for start in range(0, pages, AT_ONCE):
        with store.write() as connection:
            for number in range(start, min(start + AT_ONCE, pages)):
                fill_page(connection, dice, str(number))


def fill_page(connection: Connection, dice: random.Random, number: str) -> None:
    """A Page that is never asked for anything, and its conversations."""
    page = add_page(connection, number)
    made = [conversation(dice, TEXTS, f"{number}-", each) for each in range(CONVERSATIONS)]
    upsert_batch(connection, page, made, folder="inbox", source="initial_sync", now=NOW)


if __name__ == "__main__":
    main()
