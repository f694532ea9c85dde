"""What a request looks like on a real network, when it is sent, and what becomes of its connection."""

import asyncio
import gc
import gzip
import json
import socket
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.engine import Engine
from inboxsync.errors import AnswerFailed, AnswerTooLarge, PageNotVisible, SourceUnreachable
from inboxsync.graph import Access, GraphClient
from inboxsync.graph.errors import FaultError
from inboxsync.graph.transport import Received, Transport, open_transport
from inboxsync.model import Platform
from inboxsync.settings import Settings
from tests.fixtures import examples
from tests.graph.fixtures import AnswerWith, OpenClient, Script, StartPlayed

LISTED = json.dumps({"data": [{"id": "t_1"}]}).encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LISTED), LISTED)
ACCESS = Access(page_id="104", platform=Platform.MESSENGER, account_id="104", token="EAAmarked" + "x" * 40)


def with_transport(address: str, use: Callable[[Transport], Awaitable[object]]) -> None:
    async def go() -> None:
        async with open_transport(address, timeout_seconds=30) as transport:
            await use(transport)

    asyncio.run(go())


async def get(transport: Transport, path: str = "x", **params: str | int) -> Received:
    return await transport.get(path, params=params, token="T", sent=lambda: None)


async def fetch(client: GraphClient) -> None:
    await client.fetch_conversation_times(ACCESS, after=None, limit=1)


def head_of(request: bytes) -> tuple[str, dict[str, str]]:
    """The target and the headers of a request, their names in small letters."""
    line, *lines = request.decode().split("\r\n")
    pairs = (each.partition(": ") for each in lines if each)
    return line.split(" ")[1], {name.lower(): value for name, _, value in pairs}


SPECIAL: Mapping[str, str | int] = {
    "fields": "messages.limit(10){id,from}",
    "after": "QVFI+a/b==%2F%252F&after=x#y?z",
    "since": "é ü 漢 🙂 'q' \"w\" [1] <a> \\ ^ ` | ~ ;",
    "limit": 100,
    "empty": "",
}


@pytest.mark.parametrize("address", ["", "/", "/graph", "/graph/v25.0/", "/a%20b/v25.0"])
def test_parameters_arrive_unchanged_under_any_base(played: StartPlayed, address: str) -> None:
    server = played([OK])
    with_transport(server.url + address, lambda transport: get(transport, "104/conversations", **SPECIAL))
    target, _ = head_of(server.requests[0])
    split = urlsplit(target)
    assert split.path == f"{address.rstrip('/')}/104/conversations"
    assert dict(parse_qsl(split.query, keep_blank_values=True)) == {k: str(v) for k, v in SPECIAL.items()}


@settings(max_examples=examples(60))
@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1),
        st.text(st.characters(codec="utf-8"), max_size=300),
        min_size=1,
        max_size=5,
    )
)
def test_no_text_is_changed_on_its_way(answer_with: AnswerWith, params: dict[str, str]) -> None:
    asked: list[dict[str, str]] = []

    async def source(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(dict(request.query))
        return web.Response(body=b"{}")

    async def go() -> None:
        async with answer_with(source) as url, open_transport(url, timeout_seconds=30) as transport:
            await get(transport, **params)

    asyncio.run(go())
    assert asked == [params]


def test_cursors_and_tokens_may_be_long(played: StartPlayed) -> None:
    server = played([OK])
    token, cursor = "E" * 6_000, "c=" * 8_000

    async def go(transport: Transport) -> None:
        await transport.get("x", params={"after": cursor}, token=token, sent=lambda: None)

    with_transport(server.url, go)
    target, headers = head_of(server.requests[0])
    assert dict(parse_qsl(urlsplit(target).query)) == {"after": cursor}
    assert headers["authorization"] == f"Bearer {token}"


def test_what_a_person_typed_as_a_page_is_one_part_of_the_path(
    played: StartPlayed, open_client: OpenClient
) -> None:
    server = played(
        [b'HTTP/1.1 400 Bad Request\r\nContent-Length: 41\r\n\r\n{"error":{"code":100,"error_subcode":33}}']
    )
    typed = "../me?fields=x #\r\nX: y"
    access = Access(page_id=typed, platform=Platform.MESSENGER, account_id=typed, token="T")

    async def go() -> None:
        async with open_client(server.url) as client:
            with pytest.raises(PageNotVisible):
                await client.fetch_page(access)

    asyncio.run(go())
    target, headers = head_of(server.requests[0])
    assert target == "/v27.0/..%2Fme%3Ffields%3Dx%20%23%0D%0AX%3A%20y?fields=id%2Cname&locale=en_US"
    assert "x" not in headers


def test_a_token_that_does_not_fit_into_a_header_is_not_sent(played: StartPlayed) -> None:
    server = played([OK])

    async def go(transport: Transport) -> None:
        await transport.get("x", params={}, token="marked\r\nX: y", sent=lambda: None)

    with pytest.raises(FaultError) as caught:
        with_transport(server.url, go)
    assert "marked" not in str(caught.value)
    assert server.requests == []


def test_a_request_says_who_asks_and_keeps_no_cookies(played: StartPlayed, tmp_path: Path) -> None:
    head, _, body = OK.partition(b"\r\n\r\n")
    server = played([head + b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n" + body])
    # By its name: no cookie is kept for a number.
    named = server.url.replace("127.0.0.1", "localhost")
    engine = Engine(Settings(data_dir=tmp_path, graph_url=named, calls_per_second=0))

    async def go() -> None:
        async with engine.source(remembers=False) as client:
            await fetch(client)
            await fetch(client)

    asyncio.run(go())
    for request in server.requests:
        _, headers = head_of(request)
        assert headers["user-agent"].startswith("inboxsync/")
        assert headers["accept"] == "application/json"
        assert headers["accept-encoding"].startswith("gzip, deflate")
        assert headers["authorization"] == f"Bearer {ACCESS.token}"
        assert "cookie" not in headers
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_request_is_reported_once_as_soon_as_it_is_sent(played: StartPlayed) -> None:
    seen: list[str] = []
    asked = threading.Event()
    server = played([asked.set, lambda: time.sleep(0.3), lambda: seen.append("answered"), OK])

    async def go(transport: Transport) -> None:
        sending = asyncio.create_task(
            transport.get("x", params={}, token="T", sent=lambda: seen.append("sent"))
        )
        await asyncio.to_thread(asked.wait)
        assert seen == ["sent"]
        await sending

    with_transport(server.url, go)
    assert seen == ["sent", "answered"]


def test_a_request_that_is_never_sent_is_not_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen: list[str] = []

    async def go(transport: Transport) -> None:
        await transport.get("x", params={}, token="T", sent=lambda: seen.append("sent"))

    with pytest.raises(FaultError) as caught:
        with_transport(f"http://127.0.0.1:{port}", go)
    assert not caught.value.fault.is_answered
    assert seen == []


@pytest.mark.parametrize("busy", [False, True])
def test_a_kept_connection_that_was_closed_meanwhile_fails_no_call(played: StartPlayed, busy: bool) -> None:
    server = played([OK, "close"])

    async def go(transport: Transport) -> None:
        for _ in range(5):
            assert (await get(transport)).status == 200
            if busy:
                time.sleep(0.05)  # noqa: ASYNC251 - the loop sees nothing, as while an answer is decoded
            else:
                await asyncio.sleep(0.05)

    with_transport(server.url, go)
    assert (len(server.requests), server.connections) == (5, 5)


def test_a_request_that_is_lost_with_a_kept_connection_is_not_repeated_unnoticed(played: StartPlayed) -> None:
    """It may have been counted: the table of errors decides whether it is made again."""
    server = played([OK], ["reset"], [OK])

    async def go(transport: Transport) -> None:
        await get(transport)
        with pytest.raises(FaultError) as caught:
            await get(transport)
        assert caught.value.fault.is_answered
        assert len(server.requests) == 2
        await get(transport)

    with_transport(server.url, go)
    assert len(server.requests) == 3


def test_any_number_of_calls_is_under_way_at_once(played: StartPlayed) -> None:
    many = 150
    all_there = threading.Barrier(many)
    server = played([lambda: all_there.wait(20), OK])

    async def go(transport: Transport) -> None:
        await asyncio.gather(*(get(transport) for _ in range(many)))

    with_transport(server.url, go)
    assert server.connections == many


def test_a_source_belongs_to_its_loop_and_another_loop_has_its_own(
    played: StartPlayed, open_client: OpenClient
) -> None:
    server = played([OK])

    async def go() -> None:
        async with open_client(server.url) as client, open_client(server.url) as other:
            await asyncio.gather(fetch(client), fetch(other))

    threads = [threading.Thread(target=lambda: asyncio.run(go())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(go())
    assert len(server.requests) == 8


@pytest.mark.parametrize("script", [[OK], [OK, "close"], ["hold"]])
def test_nothing_is_left_open_when_a_source_is_closed(played: StartPlayed, script: Script) -> None:
    server = played(script)

    async def go(transport: Transport) -> None:
        calls = [asyncio.create_task(get(transport)) for _ in range(3)]
        await asyncio.wait(calls, timeout=0.2)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with_transport(server.url, go)
        gc.collect()
    assert [str(each.message) for each in caught if "nclosed" in str(each.message)] == []


def test_an_address_that_does_not_exist_is_unreachable(open_client: OpenClient) -> None:
    async def go() -> None:
        async with open_client("http://nobody.invalid") as client:
            await fetch(client)

    with pytest.raises(SourceUnreachable, match=r"No answer from nobody\.invalid"):
        asyncio.run(go())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_answer_longer_than_its_bound_is_too_large_and_not_read_to_its_end(
    played: StartPlayed, open_client: OpenClient, framing: str, *, packed: bool
) -> None:
    body = b'{"data":[' + b" " * 3_000_000 + b"]}"
    sent = gzip.compress(body) if packed else body
    head = b"HTTP/1.1 200 OK\r\n" + (b"Content-Encoding: gzip\r\n" if packed else b"")
    if framing == "length":
        answer = head + b"Content-Length: %d\r\n\r\n" % len(sent) + sent
    else:
        answer = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(sent) + sent + b"\r\n0\r\n\r\n"
    server = played([answer])

    async def go() -> None:
        async with open_client(server.url, largest_bytes=1_000_000) as client:
            with pytest.raises(AnswerTooLarge, match="longer than 1 MB"):
                await client.fetch_page(ACCESS)

    asyncio.run(go())
    assert len(server.requests) == 1


def test_an_answer_that_comes_byte_by_byte_ends(answer_with: AnswerWith, open_client: OpenClient) -> None:
    async def trickle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    async def go() -> None:
        async with answer_with(trickle) as url, open_client(url, timeout_seconds=0.1) as client:
            with pytest.raises(AnswerFailed, match="the whole answer took too long"):
                await client.fetch_page(ACCESS)

    asyncio.run(go())
