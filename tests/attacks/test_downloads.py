"""Downloads that nobody reads stop nothing else."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from inboxsync.api.downloads import AT_ONCE
from inboxsync.model import Scope
from tests.attacks.fixtures import OpenSite, Site
from tests.waiting import wait_until

# More than the buffers of the system take.
TEXTS = ["x" * 20_000] * 700
IN_DASHBOARD = "/exports/file?what=messages&format=ndjson"
IN_API = "/api/v1/exports/messages?format=ndjson"


@pytest.fixture
def full(site: OpenSite) -> Site:
    opened = site()
    opened.store(opened.page(), *TEXTS)
    return opened


def login(site: Site, path: str) -> str:
    """The header that lets a reader in."""
    if path == IN_API:
        return f"X-API-Key: {site.key(Scope.READ)}"
    visitor = site.visitor()
    visitor.log_in(site.key(Scope.READ))
    return "Cookie: " + "; ".join(f"{each.name}={each.value}" for each in visitor.client.cookies.jar)


@contextmanager
def unread(site: Site, path: str, who: str, *, count: int) -> Iterator[list[tuple[int, str]]]:
    """So many downloads of which only the head is read: status, and the head."""
    with ExitStack() as connections:
        heads = []
        for _ in range(count):
            connection = connections.enter_context(site.connected(receive_buffer=4096))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{who}\r\n\r\n".encode())
            heads.append(head_of(connection))
        yield [(int(head.split()[1]), head) for head in heads]


def head_of(connection: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return head.decode()


@pytest.mark.parametrize("path", [IN_DASHBOARD, IN_API])
def test_downloads_that_nobody_reads_leave_the_service_to_the_others(full: Site, path: str) -> None:
    who = login(full, path)
    others = full.client(**dict([who.split(": ", 1)]))
    with unread(full, path, who, count=60) as answers:
        assert sorted(status for status, _ in answers) == [200] * AT_ONCE + [503] * (60 - AT_ONCE)
        assert all(
            re.search("retry-after: [1-9]", head, re.IGNORECASE) for status, head in answers if status == 503
        )
        assert others.get("/readyz").json()["status"] == "ok"
        shown = others.get("/api/v1/conversations" if path == IN_API else "/conversations")
        assert shown.status_code == 200
        refused = others.get(path)
        assert refused.status_code == 503
        assert "Wait until one has ended" in refused.text or "again" in refused.text
    # Those clients have gone: their places are free.
    assert_whole(others, path)


def test_a_client_that_takes_nothing_is_dropped(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inboxsync.api.middleware._TAKING_SECONDS", 2.0)
    who = login(full, IN_API)
    with unread(full, IN_API, who, count=AT_ONCE):
        assert_whole(full.client(**dict([who.split(": ", 1)])), IN_API)


def test_a_client_that_reads_slowly_gets_everything(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inboxsync.api.middleware._TAKING_SECONDS", 0.2)
    monkeypatch.setattr("inboxsync.api.middleware._LEAST_TAKEN", 0)
    who = login(full, IN_API)
    with full.connected(receive_buffer=65_536) as connection:
        head = f"GET {IN_API} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{who}\r\n\r\n"
        connection.sendall(head.encode())
        received = 0
        while more := connection.recv(8192):
            received += len(more)
    assert received > len(TEXTS) * len(TEXTS[0])


@pytest.mark.parametrize("path", [IN_DASHBOARD, IN_API])
def test_a_client_that_goes_at_once_keeps_no_place(full: Site, path: str) -> None:
    who = login(full, path)
    for _ in range(5 * AT_ONCE):
        with full.connected() as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{who}\r\n\r\n".encode())
    assert_whole(full.client(**dict([who.split(": ", 1)])), path)


def assert_whole(client: httpx2.Client, path: str) -> None:
    """A place becomes free, and the file then is whole."""
    answer = None

    def is_free() -> bool:
        nonlocal answer
        answer = client.get(path)
        return answer.status_code == 200

    wait_until(is_free)
    assert answer is not None
    assert answer.text.count("\n") == len(TEXTS) + 1
