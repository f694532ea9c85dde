"""The fixtures of tests/sandbox; their types are in its `fixtures`."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from inboxsync.sandbox import Sandbox, SandboxConfig
from tests.fixtures import PATIENCE_SECONDS, FakeClock, Serve
from tests.sandbox.fixtures import Graph, Process, StartGraph, StartProcess


@pytest.fixture
def graph(serve: Serve, clock: FakeClock) -> StartGraph:
    """Its limits count by a clock that stands still until a test moves it."""

    def start(**switches: object) -> Graph:
        served = serve(**switches)
        served.sandbox.graph.now = clock.monotonic
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


@pytest.fixture
def process() -> Iterator[StartProcess]:
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
        child.communicate(timeout=PATIENCE_SECONDS)
