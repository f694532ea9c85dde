"""A service as attackers meet it: over HTTP, with a real database; and commands as they are typed."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inboxsync.api import create_app
from inboxsync.api.middleware import Server
from inboxsync.engine import Engine
from inboxsync.settings import Settings
from inboxsync.web import mount_dashboard
from inboxsync.workers import RunQueue
from tests.attacks.fixtures import OpenSite, Site
from tests.cli.fixtures import Run
from tests.fixtures import Ending
from tests.processes import ForkServer


@pytest.fixture
def site(tmp_path: Path, ending: Ending) -> Iterator[OpenSite]:
    """Serves until the test ends."""
    running: list[tuple[Site, Server]] = []

    def start(data: str = "data", **changes: object) -> Site:
        values: dict[str, Any] = {"data_dir": tmp_path / data, "graph_url": "http://127.0.0.1:9"} | changes
        engine = Engine(Settings(**values))
        app = create_app(engine, queue=RunQueue(engine))
        mount_dashboard(app)
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(app, trusted_proxies=engine.settings.trusted_proxies)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        ending.append(thread)
        running.append((Site(engine, app, f"http://127.0.0.1:{listener.getsockname()[1]}"), server))
        return running[-1][0]

    yield start
    for each, server in running:
        for client in each.clients:
            client.close()
        server.force_exit = server.should_exit = True
        each.engine.close()


@pytest.fixture
def run(forks: ForkServer, tmp_path: Path) -> Run:
    """Runs a command to its end, with the data of `site`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    environment = kept | {"INBOXSYNC_DATA_DIR": str(tmp_path / "data")}

    def run_command(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        ended = forks.run(*arguments, environment=environment | extra, stdin=stdin)
        assert "Traceback" not in ended.stderr
        return ended

    return run_command
