"""HTTP/1.0 has no chunks: the body of a stream ends with the connection, and a cut one is an error."""

import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from inboxsync.model import RunRequest
from inboxsync.workers import RunQueue
from tests.api.fixtures import Api
from tests.fixtures import PATIENCE_SECONDS


def raw(api: Api, path: str, *, version: str = "1.0", method: str = "GET") -> tuple[str, bytes]:
    """The head and the body as they come over the wire."""
    where = urlsplit(api.url)
    with socket.create_connection((where.hostname, where.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(
            f"{method} {path} HTTP/{version}\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".encode()
        )
        received = b""
        while more := client.recv(65_536):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode().lower(), body


def test_a_stream_of_events_has_no_chunks(api: Api) -> None:
    queue = RunQueue(api.engine)
    run = queue.enqueue(api.page(), RunRequest())
    queue.cancel(run.id)
    head, body = raw(api, f"/api/v1/runs/{run.id}/stream")
    assert "text/event-stream" in head
    assert "chunked" not in head
    assert "connection: close" in head
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1]["runId"] == run.id
    assert body.startswith(b"data: ")


def test_an_answer_with_a_length_keeps_it(api: Api) -> None:
    head, body = raw(api, "/healthz")
    assert f"content-length: {len(body)}" in head
    assert json.loads(body)
    head, body = raw(api, "/healthz", method="HEAD")
    assert "chunked" not in head
    assert body == b""


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_stream_that_fails_is_told_from_one_that_ends(api: Api, *, is_cut: bool) -> None:
    async def rows() -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b""
        if is_cut:
            raise RuntimeError("the database has gone")
        yield b"two\n"

    async def show(_request: Request) -> StreamingResponse:
        return StreamingResponse(rows())

    api.app.router.add_route("/rows", show)
    if is_cut:
        with pytest.raises(ConnectionResetError):
            raw(api, "/rows")
    else:
        assert raw(api, "/rows")[1] == b"one\ntwo\n"
