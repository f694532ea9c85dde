"""Starts commands of inboxsync in processes that are forked where everything is imported already."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from tests.fixtures import PATIENCE_SECONDS, Json

_SCRIPT = Path(__file__).with_name("fork_server.py")


class Forked:
    """A command that runs; its standard streams are the files of the one who started it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")
        self.pid = int(self._lines.readline())

    def wait(self, timeout: float) -> int:
        """Its exit code: negative where a signal ended it. Killed where it takes longer."""
        self._connection.settimeout(timeout)
        try:
            return int(self._lines.readline())
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            raise
        finally:
            self._lines.close()
            self._connection.close()

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class ForkServer:
    """Forks commands; see tests/fork_server.py."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="inboxsync-")
        self._address = str(Path(self._folder.name) / "commands")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            command = [sys.executable, str(_SCRIPT), str(listener.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[listener.fileno()])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        streams: tuple[int, int, int],
        script: str = "",
    ) -> Forked:
        """Its streams are files that are open here, which it gets for itself."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        asked = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(Path.cwd()),
            "script": script,
        }
        message = json.dumps(asked).encode()
        sent = socket.send_fds(connection, [message], streams)
        connection.sendall(message[sent:])
        connection.shutdown(socket.SHUT_WR)
        return Forked(connection)

    def run(
        self, *arguments: str, environment: Mapping[str, str], stdin: str = "", script: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """As subprocess.run would; a script is run in the place of inboxsync."""
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin.encode())
            given.seek(0)
            streams = given.fileno(), out.fileno(), err.fileno()
            forked = self.start(*arguments, environment=environment, streams=streams, script=script)
            code = forked.wait(PATIENCE_SECONDS)
            out.seek(0)
            err.seek(0)
            command = ["inboxsync", *arguments]
            return subprocess.CompletedProcess(command, code, out.read().decode(), err.read().decode())


class Sandboxes:
    """Starts `inboxsync sandbox`, as often as a test asks for it."""

    def __init__(self, forks: ForkServer) -> None:
        self._forks = forks
        self._started: list[Forked] = []

    def start(self, *switches: str, environment: Mapping[str, str] = os.environ) -> dict[str, Json]:
        """Its ready line."""
        reading, writing = os.pipe()
        with open(os.devnull, "rb") as nothing, open(reading, encoding="utf-8") as out:  # noqa: PTH123 - no path
            streams = nothing.fileno(), writing, 2
            self._started.append(
                self._forks.start("sandbox", *switches, environment=environment, streams=streams)
            )
            os.close(writing)
            ready: dict[str, Json] = json.loads(out.readline())
            return ready

    def close(self) -> None:
        for each in self._started:
            each.send_signal(signal.SIGKILL)
            each.wait(PATIENCE_SECONDS)
