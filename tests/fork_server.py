"""A process that has imported inboxsync once, and forks for each command of a test.

Most of what a command of a test costs is the import of its modules (0.5 to 1 s of processor time). A forked
command is a process of its own all the same: with its own environment, folder, standard streams, signals
and exit code. What is about starting, or about the interpreter itself, starts real ones.

`python fork_server.py FD`: FD is a listening Unix socket. Each connection is a command: it sends the
arguments, the environment and the folder, with three open files, and is told the process id and, at the end,
the exit code, each on a line.
"""

import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper

# What commands import while they run.
_MODULES = (
    "alembic.command",
    "inboxsync.cli",
    "inboxsync.graph.transport",
    "inboxsync.sandbox.server",
    "inboxsync.workers.queue",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)


def serve(listener: socket.socket) -> None:
    """Fork for each connection; returns in a process that is to be the command."""
    signal.signal(signal.SIGCHLD, lambda *_: reap())
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with connection:
            asked, files = receive(connection)
            pid = os.fork()
            if pid == 0:
                connection.close()
                become(asked, files)
                return
            for file in files:
                os.close(file)
            connection.sendall(f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)


def reap() -> None:
    """Take note of who has ended: those who report a command's exit code."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def receive(connection: socket.socket) -> tuple[dict[str, object], list[int]]:
    message, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while more := connection.recv(1 << 16):
        message += more
    return json.loads(message), files


def become(asked: dict[str, object], files: list[int]) -> None:
    """Take over the arguments, the environment, the folder and the streams of a command."""
    arguments, environment, folder = asked["arguments"], asked["environment"], asked["folder"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    sys.argv = ["inboxsync", *arguments]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(folder))
    time.tzset()
    random.seed()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for good
    sys.stdout = stream(1, errors="strict")
    sys.stderr = stream(2, errors="backslashreplace")


def stream(number: int, *, errors: str) -> TextIOWrapper:
    raw = BufferedWriter(FileIO(number, "w", closefd=False))
    return TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=number == 2)


if __name__ == "__main__":
    for name in _MODULES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be lost in a fork"
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
    from inboxsync.__main__ import main

    main()
