"""A source, or what sits between, that leads elsewhere or never ends gets no token and no memory."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from inboxsync.sandbox.world import PageWorld
from tests.cli.fixtures import Run
from tests.fixtures import PATIENCE_SECONDS, SandboxServer, Serve

Answer = Callable[[BaseHTTPRequestHandler], None]
FAST = {
    "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
    "INBOXSYNC_SOURCE_AWAY_SECONDS": "1",
    "INBOXSYNC_CALLS_PER_SECOND": "0",
    "INBOXSYNC_LARGEST_ANSWER_MB": "8",
}


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers in this way, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers}")
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def say(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def passed_on(served: SandboxServer, *, elsewhere: str) -> Answer:
    """As the sandbox answers, with another host in every `next` and `previous`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        # Unpacked, so that the addresses in it can be changed.
        kept = ("authorization", "accept", "user-agent")
        sent = {name: value for name, value in handler.headers.items() if name.lower() in kept}
        request = urllib.request.Request(f"{served.url}{handler.path}", headers=sent)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as got:  # noqa: S310 - our own
                body, status = got.read(), got.status
        except urllib.error.HTTPError as error:
            body, status = error.read(), error.code
        leading = re.sub(rb'("(?:next|previous)":\s*")https?:[^"]*?(?=/v)', rb"\1" + elsewhere.encode(), body)
        say(handler, leading, status)

    return answer


def add(run: Run, url: str, page: PageWorld) -> str:
    """What the command that adds a Page says."""
    where = FAST | {"INBOXSYNC_GRAPH_URL": url}
    added = run("pages", "add", page.page_id, "--token-stdin", stdin=page.token, **where)
    assert page.token not in added.stdout + added.stderr
    return added.stdout + added.stderr


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(serve: Serve, run: Run, status: int) -> None:
    page = serve(conversations=3).page
    with serving(lambda handler: say(handler, b"{}")) as (elsewhere, asked):

        def lead(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Location", f"{elsewhere}{handler.path}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with serving(lead) as (url, _):
            assert "Added" not in add(run, url, page)
        assert asked == []


def test_the_next_page_is_asked_for_at_the_source_and_nowhere_else(serve: Serve, run: Run) -> None:
    served = serve(conversations=250)
    with (
        serving(lambda handler: say(handler, b"{}")) as (elsewhere, asked),
        serving(passed_on(served, elsewhere=elsewhere)) as (url, received),
    ):
        assert "Added" in add(run, url, served.page)
        synced = run("sync", **(FAST | {"INBOXSYNC_GRAPH_URL": url}))
        assert synced.returncode == 0, synced.stderr
        assert asked == []
        assert len(received) > 3
        assert "250 conversations" in synced.stdout
        assert served.page.token not in "".join(path.split(" ")[0] for path in received)


@pytest.mark.parametrize("form", ["with a length", "without an end"])
def test_an_answer_of_any_size_is_cut(serve: Serve, run: Run, form: str) -> None:
    page = serve(conversations=3).page
    sent = 0

    def pour(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        if form == "with a length":
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        try:
            for _ in range(1000):
                sent += handler.wfile.write(b" " * 1_000_000)
        except OSError:
            handler.close_connection = True

    with serving(pour) as (url, asked):
        assert "Added" not in add(run, url, page)
        assert sent < 40_000_000 * len(asked)
