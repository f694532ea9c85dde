"""What an attacker meets: what the fixtures of this directory give."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import httpx2
from fastapi import FastAPI

from inboxsync.engine import Engine
from inboxsync.model import Conversation, Message, Page, Participant, Platform, Scope
from inboxsync.store.state.credentials import create_api_key
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from tests.fixtures import PATIENCE_SECONDS
from tests.web.fixtures import Visitor

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
# C0 but the line's own end, DEL, C1, line and paragraph separator, and what changes the direction.
HARMFUL = (
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"),
    *map(chr, (0x2028, 0x2029, 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
)


@dataclass
class Site:
    """The HTTP service with its dashboard, over a database without a source."""

    engine: Engine
    app: FastAPI
    url: str
    clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **headers: str) -> httpx2.Client:
        self.clients.append(httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS, headers=headers))
        return self.clients[-1]

    def visitor(self, **headers: str) -> Visitor:
        return Visitor(self.client(**headers))

    def key(self, scope: Scope = Scope.ADMIN, name: str = "") -> str:
        """The text of a new key."""
        with self.engine.store.write() as connection:
            _, text = create_api_key(
                connection, name=name or scope.value, scope=scope, now=self.engine.clock.now()
            )
        self.forget_keys()
        return text

    def forget_keys(self) -> None:
        """As if the second had passed for which keys are remembered."""
        self.app.state.service.keys._read_at = None

    def page(self, name: str = "A shop") -> Page:
        """A Page that exists only in the database."""
        with self.engine.store.write() as connection:
            added, _ = upsert_page(
                connection,
                facebook_page_id="104",
                platform=Platform.MESSENGER,
                account_id="104",
                name=name,
                access_token_encrypted="x",
                now=self.engine.clock.now(),
            )
        return added

    def write(self, page: Page, *texts: str, contact: str = "Somebody") -> None:
        """Store and derive a conversation in which a contact of this name writes these texts."""
        self.store(page, *texts, contact=contact)
        self.engine.derive()

    def store(self, page: Page, *texts: str, contact: str = "Somebody") -> None:
        """The same, without what is derived from it."""
        messages = tuple(
            Message(message_id=f"m_{number}", sent_at=AT + timedelta(seconds=number), text=text)
            for number, text in enumerate(texts)
        )
        conversation = Conversation(
            conversation_id="t_1",
            source_updated_at=AT + timedelta(hours=1),
            contact=Participant(id="7", name=contact),
            messages=messages,
        )
        with self.engine.store.write() as connection:
            upsert_batch(connection, page, [conversation], folder="inbox", source="initial_sync", now=AT)

    def statements(self, *statements: str) -> None:
        """Change the database behind the service's back."""
        with self.engine.store.write() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    @contextmanager
    def connected(self, *, receive_buffer: int | None = None) -> Iterator[socket.socket]:
        """A connection for bytes that no client would send."""
        with socket.socket() as connection:
            if receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(("127.0.0.1", self.port))
            yield connection


class OpenSite(Protocol):
    """The fixture `site`: a service with these settings changed; `data` is the name of its folder."""

    def __call__(self, data: str = "data", **changes: object) -> Site: ...
