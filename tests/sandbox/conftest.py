import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import uvicorn

from inboxsync.sandbox import Sandbox, SandboxConfig

_VERSION = "v26.0"


@dataclass
class Answer:
    """One answer: status, headers, and the body as it came."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> list[Any]:
        assert self.status == 200, self.text
        return self.json["data"]

    @property
    def paging(self) -> dict[str, Any]:
        return self.json.get("paging", {})

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


class Graph:
    """A Graph API by its address, asked with the standard library alone."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.url = ready["url"]
        self.token = ready["token"]
        self.ready = ready
        self.page_id = ready["page_id"]

    def get(self, path: str, **parameters: Any) -> Answer:
        """With the Page's token, unless another is given; None sends none."""
        given = {"access_token": self.token} | parameters
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return self.open(f"/{_VERSION}/{path}?{query}")

    def inbox(self, **parameters: Any) -> Answer:
        return self.get(f"{self.page_id}/conversations", **parameters)

    def open(
        self, url: str, *, method: str = "GET", body: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Exactly this URL."""
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc or urlsplit(self.url).netloc, timeout=20)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def batch(self, *relative_urls: str, **parameters: Any) -> Answer:
        items = [{"method": "GET", "relative_url": each} for each in relative_urls]
        form = urlencode({"access_token": self.token, "batch": json.dumps(items)} | parameters)
        return self.open(
            f"/{_VERSION}/",
            method="POST",
            body=form,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    def control(self, path: str, **asked: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        return self.open(f"/sandbox/{path}", method="POST", body=json.dumps(asked), headers=headers)

    def walk(self, **parameters: Any) -> list[Answer]:
        """Every answer of the list, by following `next` as it is."""
        answers = [self.inbox(**parameters)]
        while "next" in answers[-1].paging:
            assert len(answers) < 500
            answers.append(self.open(answers[-1].paging["next"]))
        return answers

    def insist(self, **parameters: Any) -> list[dict[str, Any]]:
        """Every entry, with repetitions, by keeping the cursor and repeating what failed."""
        entries: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        for _ in range(1000):
            answer = self._once(parameters | cursor)
            if answer is None:
                continue
            entries += answer["data"]
            paging = answer.get("paging", {})
            if "next" not in paging:
                return entries
            cursor = {"after": paging["cursors"]["after"]}
        raise AssertionError("the list has no end")

    def _once(self, parameters: dict[str, Any]) -> dict[str, Any] | None:
        try:
            body = self.inbox(**parameters).json
        except (ValueError, OSError):
            return None
        return body if isinstance(body, dict) and "data" in body else None


@pytest.fixture
def graph(serve: Callable[..., Any]) -> Callable[..., Graph]:
    """A sandbox with these switches, in a thread, behind real HTTP."""

    def start(**switches: Any) -> Graph:
        served = serve(**switches)
        return Graph(served.sandbox.ready(url=served.url, port=0))

    return start


@pytest.fixture(scope="session")
def shared() -> Iterator[Graph]:
    """A sandbox for all tests that only read: two Pages of 30 conversations."""
    sandbox = Sandbox(SandboxConfig(conversations=30, pages=2, limits=False))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    yield Graph(sandbox.ready(url=f"http://127.0.0.1:{port}", port=port))
    server.force_exit = server.should_exit = True
    thread.join()


@dataclass
class Process:
    """A sandbox in a process of its own."""

    graph: Graph
    pid: int

    def memory_bytes(self) -> int:
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 - a kernel's file
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Starts `inboxsync sandbox ...` and waits for its ready line."""
    started: list[subprocess.Popen[str]] = []

    def start(*switches: str) -> Process:
        command = [sys.executable, "-m", "inboxsync", "sandbox", "--no-limits", *switches]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        return Process(Graph(json.loads(child.stdout.readline())), child.pid)

    yield start
    for child in started:
        child.send_signal(signal.SIGTERM)
    for child in started:
        child.communicate(timeout=20)
