"""The archive's HTML: small templates, filled one after the other, so that no page is held in memory.

Nothing in them runs or is loaded. Every text is escaped, and has its own direction.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from inboxsync.model import Page
from inboxsync.reports.as_csv import iso
from inboxsync.reports.attachments import Link, links_of
from inboxsync.reports.cells import without_nul, without_surrogates
from inboxsync.store.reading import ConversationRecord, MessageRecord, Thread

_SHOWN_OF_A_MESSAGE: Final = 120


class Pages:
    """Writes the parts of the archive's pages."""

    def __init__(self, page: Page, *, zone: tzinfo, exported_at: datetime) -> None:
        self._page = page
        self._zone = zone
        self._exported_at = exported_at
        self._environment = Environment(
            loader=PackageLoader("inboxsync.reports"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._style = Markup(self._text("style.css"))  # noqa: S704 - a file of our own
        self._templates: dict[str, Template] = {}

    def head(self, title: str, links: Sequence[Link] = ()) -> Iterator[bytes]:
        """The beginning of a page."""
        return self._filled("head", title=title, style=self._style, links=links)

    def foot(self, links: Sequence[Link] = ()) -> Iterator[bytes]:
        """The end of it."""
        return self._filled("foot", links=links)

    def cover(self, count: int, *, is_one_file: bool) -> Iterator[bytes]:
        """What this is, before the list of conversations."""
        exported_at = f"{self._exported_at.astimezone(self._zone):%Y-%m-%d %H:%M}"
        return self._filled(
            "cover",
            page=self._page,
            count=count,
            exported_at=exported_at,
            zone=str(self._zone),
            is_one_file=is_one_file,
        )

    def list_head(self, first: int) -> Iterator[bytes]:
        """The beginning of a list of conversations from this number on."""
        return self._filled("list_head", first=first)

    def list_row(self, conversation: ConversationRecord, href: str) -> Iterator[bytes]:
        """A line of a list."""
        text = conversation.last_message or ""
        shown = text if len(text) <= _SHOWN_OF_A_MESSAGE else f"{text[:_SHOWN_OF_A_MESSAGE]}\u2026"
        return self._filled(
            "list_row",
            href=href,
            name=name_of(conversation),
            last_message=shown,
            last_message_at=self._when(conversation.last_message_time),
        )

    def list_foot(self) -> Iterator[bytes]:
        """The end of it."""
        return self._filled("list_foot")

    def thread(self, number: int, thread: Thread, messages: Iterator[MessageRecord]) -> Iterator[bytes]:
        """A conversation; `c` and its number are its anchor."""
        return self._filled(
            "thread",
            number=number,
            conversation=thread.conversation,
            gap=thread.gap,
            name=name_of(thread.conversation),
            page_name=self._page.name or self._page.facebook_page_id,
            messages=messages,
            when=self._when,
            links_of=_links,
        )

    def _filled(self, name: str, /, **values: object) -> Iterator[bytes]:
        if name not in self._templates:
            self._templates[name] = self._environment.get_template(f"{name}.html")
        stream = self._templates[name].stream(**values)
        stream.enable_buffering(50)
        return (without_nul(without_surrogates(part)).encode() for part in stream)

    def _when(self, at: datetime | None) -> Markup:
        if at is None:
            return Markup("")
        shown = f"{at.astimezone(self._zone):%Y-%m-%d %H:%M}"
        return Markup('<time datetime="{}">{}</time>').format(iso(at), shown)

    def _text(self, name: str) -> str:
        loader: Callable[..., tuple[str, str | None, object]] = PackageLoader("inboxsync.reports").get_source
        return loader(self._environment, name)[0]


def name_of(conversation: ConversationRecord) -> str:
    """What a conversation is called: the contact's name, or their id if the name was withheld."""
    if conversation.sender_name:
        return conversation.sender_name
    return f"contact {conversation.sender_id}" if conversation.sender_id else "nobody is left"


def _links(message: MessageRecord) -> tuple[Link, ...]:
    return links_of(
        attachments=message.attachments, shares=message.shares, sticker=message.sticker, story=message.story
    )
