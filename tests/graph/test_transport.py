"""Answers byte by byte: whole ones and broken ones."""

import asyncio
import gzip
import json
import logging
import time
import zlib
from typing import Protocol

import pytest

from inboxsync.errors import AnswerFailed, InboxsyncError
from inboxsync.graph import Access, App, GraphClient
from inboxsync.graph.quotas import Usage
from inboxsync.model import Batch, Platform
from tests.graph.fixtures import OpenClient, Script, StartPlayed, Step

TOKEN = "EAAmarked" + "x" * 40
APP = App(secret="s" * 32, id="77")
PROOF = APP.proof(TOKEN)
ACCESS = Access(page_id="104", platform=Platform.MESSENGER, account_id="104", token=TOKEN)
LISTED = json.dumps({"data": [{"id": "t_1"}]}).encode()
PACKED = gzip.compress(LISTED)


def http(body: bytes, *, status: str = "200 OK", more: bytes = b"", length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), said, more, body)


def packed(body: bytes, encoding: bytes = b"gzip") -> Script:
    return [http(body, more=b"Content-Encoding: %s\r\n" % encoding)]


def deflated_raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


class AskFor(Protocol):
    """The fixture `ask_for`: one list call; its batch or its error, and how many calls were counted."""

    def __call__(self, url: str, *, timeout_seconds: float = 30) -> tuple[Batch | InboxsyncError, int]: ...


@pytest.fixture
def ask_for(open_client: OpenClient) -> AskFor:
    def run(url: str, *, timeout_seconds: float = 30) -> tuple[Batch | InboxsyncError, int]:
        async def go() -> tuple[Batch | InboxsyncError, int]:
            async with open_client(url, app=APP, timeout_seconds=timeout_seconds) as client:
                try:
                    return await fetch(client), client.counts(ACCESS).made
                except InboxsyncError as error:
                    return error, client.counts(ACCESS).made

        return asyncio.run(go())

    return run


async def fetch(client: GraphClient) -> Batch:
    return await client.fetch_conversation_times(ACCESS, after=None, limit=1)


BROKEN: dict[str, Script] = {
    "closed at once": ["close"],
    "reset at once": ["reset"],
    "half a status line": [b"HTTP/1.1 2", "close"],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-Le", "close"],
    "half a body, closed": [http(LISTED, length=999), "close"],
    "half a body, reset": [http(LISTED, length=999), "reset"],
    "half a body without a length": [b"HTTP/1.1 200 OK\r\n\r\n" + LISTED[:-2], "close"],
    "half a chunked body": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(LISTED), LISTED),
        "close",
    ],
    "a chunk without a size": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "close"],
    "a length too short": [http(LISTED, length=len(LISTED) - 3)],
    "a length that is none": [b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n" + LISTED, "close"],
    "gzip that is none": packed(b"nope nope nope"),
    "gzip that is cut": packed(PACKED[:-12]),
    "gzip with a wrong sum": packed(PACKED[:-8] + bytes(8)),
    "deflate that is none": packed(b"nope nope nope", b"deflate"),
    "an encoding that was not asked for": packed(b"\x0b\x02\x80abc\x03", b"br"),
    "another protocol than HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n", "close"],
    "a token in the place of the status": [b"HTTP/1.1 " + TOKEN.encode() + b"\r\n\r\n", "close"],
    "a head without an end": [b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 2_000_000 + b"\r\n", "close"],
    "elsewhere": [http(b"", status="302 Found", more=b"Location: /elsewhere\r\n")],
    "nothing": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
    "silence": ["hold"],
    "silence in the middle": [http(LISTED, length=999), "hold"],
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_asked_for_exactly_as_often_as_the_settings_say(
    played: StartPlayed, ask_for: AskFor, kind: str
) -> None:
    server = played(BROKEN[kind])
    error, made = ask_for(server.url, timeout_seconds=0.2)
    assert type(error) is AnswerFailed
    assert "Tried 3 times." in str(error)
    assert len(server.requests) == made == 3


@pytest.mark.parametrize("kind", BROKEN)
def test_nothing_that_is_shown_of_a_failure_holds_a_secret(
    played: StartPlayed,
    ask_for: AskFor,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    error, _ = ask_for(played(BROKEN[kind]).url, timeout_seconds=0.2)
    assert isinstance(error, InboxsyncError)
    shown = f"{error!r} {error} {error.hint} {caplog.text} {capsys.readouterr()}"
    assert "marked" not in shown
    assert PROOF not in shown
    assert "appsecret" not in shown


WHOLE: dict[str, Script] = {
    "with a length": [http(LISTED)],
    "chunked": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(LISTED), LISTED)
    ],
    "until it closes": [b"HTTP/1.1 200 OK\r\n\r\n" + LISTED, "close"],
    "an old one": [b"HTTP/1.0 200 OK\r\n\r\n" + LISTED, "close"],
    "gzip": packed(PACKED),
    "deflate": packed(zlib.compress(LISTED), b"deflate"),
    "raw deflate": packed(deflated_raw(LISTED), b"deflate"),
    "gzip of much": packed(gzip.compress(LISTED[:-1] + b" " * 40_000_000 + b"}")),
    "a long header": [http(LISTED, more=b"X-A: " + b"a" * 95_000 + b"\r\n")],
    "many headers": [http(LISTED, more=b"".join(b"X-%d: a\r\n" % i for i in range(300)))],
    "odd letters in a header": [http(LISTED, more=b"X-A: \xe9\xff\r\n")],
    "after a hint": [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + http(LISTED)],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_answer_is_read_however_it_comes(played: StartPlayed, ask_for: AskFor, kind: str) -> None:
    batch, made = ask_for(played(WHOLE[kind]).url)
    assert isinstance(batch, Batch)
    assert [each.conversation_id for each in batch.conversations] == ["t_1"]
    assert made == 1


def test_an_answer_that_keeps_coming_may_take_longer_than_a_silence(
    played: StartPlayed, ask_for: AskFor
) -> None:
    whole = http(LISTED)

    def pause() -> None:
        time.sleep(0.15)

    steps: list[Step] = [step for at in range(0, len(whole), 12) for step in (whole[at : at + 12], pause)]
    batch, made = ask_for(played(steps).url, timeout_seconds=0.6)
    assert isinstance(batch, Batch)
    assert len(batch.conversations) == made == 1


def test_usage_headers_longer_than_any_default_are_read(played: StartPlayed, open_client: OpenClient) -> None:
    entry = {"type": "messenger", "call_count": 97, "estimated_time_to_regain_access": 3}
    usage = {str(17_841_000_000 + i): [entry] for i in range(600)} | {"104": [entry]}
    head = b"X-Business-Use-Case-Usage: %s\r\n" % json.dumps(usage).encode()
    assert len(head) > 50_000
    server = played([http(LISTED, more=head)])

    async def go() -> Usage | None:
        async with open_client(server.url) as client:
            await fetch(client)
            return client.rate_limiter.usage(ACCESS)

    found = asyncio.run(go())
    assert found is not None
    assert found.percent == 97
