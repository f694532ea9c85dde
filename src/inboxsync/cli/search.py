"""`inboxsync search`."""

from datetime import tzinfo
from typing import Annotated, Any

import typer
from rich.text import Text

from inboxsync.cli.options import AsJsonArray, OnlyPages, Since, Zone, parse_since, parse_zone
from inboxsync.cli.output import local, print_json, stdout
from inboxsync.cli.process import open_engine
from inboxsync.cli.progress import derive_before_answer
from inboxsync.store.search import FoundMessage, FoundMessages, Order, parse_query, search_messages
from inboxsync.store.state.pages import find_pages, list_pages


def search(
    words: Annotated[
        str,
        typer.Argument(
            metavar="WORDS",
            help='Words that a message must contain; "a phrase" in quotes; the beginning of a word: refu*; '
            "one OR another; -word: without it.",
        ),
    ],
    *,
    page: OnlyPages = None,
    since: Since = None,
    zone: Zone = None,
    order: Annotated[
        Order, typer.Option(help="newest: the newest first; rank: the best match first.")
    ] = Order.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    as_json: AsJsonArray = False,
) -> None:
    """Find messages by their words. Case and accents make no difference.

    In Thai, Japanese, Chinese and other scripts without spaces any part of a text is found.
    """
    query = parse_query(words)
    with open_engine() as engine:
        in_zone, now = parse_zone(zone, engine.settings), engine.clock.now()
        at = parse_since(since, now=now, zone=in_zone)
        derive_before_answer(engine)
        with engine.store.read() as connection:
            pages = {each.id: each for each in list_pages(connection)}
            wanted = [each.id for each in find_pages(connection, page)] if page else None
            found = search_messages(
                connection, query, page_id=wanted, since=at, order=order, limit=limit, with_total=True
            )
    if as_json:
        print_json([_as_json(each, pages[each.page_id].facebook_page_id) for each in found.messages])
        return
    if not found.messages:
        stdout().print("No message has these words.")
    for each in found.messages:
        name = pages[each.page_id].name or pages[each.page_id].facebook_page_id
        _print(each, name, in_zone)
    if found.messages:
        stdout().print(_summary(found))


def _summary(found: FoundMessages) -> str:
    total = found.total.text if found.total else ""
    if found.next is None:
        return f"{total} found."
    return f"{len(found.messages):,} of {total} shown: use --limit, --since, or another word."


def _as_json(found: FoundMessage, facebook_page_id: str) -> dict[str, Any]:
    return {
        "page_id": facebook_page_id,
        "conversation_id": found.graph_conversation_id,
        "message_id": found.message_id,
        "folder": found.folder,
        "contact_id": found.contact_id,
        "contact_name": found.contact_name,
        "sent_at": found.sent_at,
        "is_from_page": found.is_from_page,
        "text": found.text,
        "highlights": [{"start": start, "end": end} for start, end in found.highlights],
    }


def _print(found: FoundMessage, page_name: str, zone: tzinfo) -> None:
    contact = found.contact_name or found.contact_id or "a deleted account"
    who = f"{page_name} to {contact}" if found.is_from_page else f"{contact} to {page_name}"
    text = Text(found.text)
    for start, end in found.highlights:
        text.stylize("bold yellow", start, end)
    console = stdout()
    when = local(found.sent_at, zone) if found.sent_at else "at an unknown time"
    console.print(Text(f"{when}  {who}", "dim"))
    for line in text.split("\n", allow_blank=True):
        console.print(Text("  ").append_text(line))
