"""A process that has imported inboxsync once, and forks for each command of a test.

Most of what a command of a test costs is the import of its modules (0.5 to 1 s of processor time). A forked
command is a process of its own all the same: with its own environment, folder, standard streams, signals
and exit code. What is about starting, or about the interpreter itself, starts real ones.

`python fork_server.py FD`: FD is a listening Unix socket. Each connection is a command: it sends the
arguments, the environment, the folder, and a script to run in the place of inboxsync where there is one, with
three open files. It is answered with the process id and, at the end, the exit code, each on a line.
"""

import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TypedDict

# What commands import while they run.
_MODULES = (
    "alembic.command",
    "inboxsync.cli",
    "inboxsync.graph.transport",
    "inboxsync.sandbox.server",
    "inboxsync.workers.maintenance",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)


class Asked(TypedDict):
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    script: str


def serve(listener: socket.socket) -> str:
    """Fork for each connection; returns the script in a process that is to be a command."""
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
                return become(asked, files)
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


def receive(connection: socket.socket) -> tuple[Asked, list[int]]:
    message, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while more := connection.recv(1 << 16):
        message += more
    return json.loads(message), files


def become(asked: Asked, files: list[int]) -> str:
    """Take over the arguments, the environment, the folder and the streams of a command."""
    sys.argv = [asked["script"] or "inboxsync", *asked["arguments"]]
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    time.tzset()
    random.seed()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open for good
    sys.stdout = stream(1, errors="strict")
    sys.stderr = stream(2, errors="backslashreplace")
    return asked["script"]


def stream(number: int, *, errors: str) -> TextIOWrapper:
    raw = BufferedWriter(FileIO(number, "w", closefd=False))
    return TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=number == 2)


if __name__ == "__main__":
    for name in _MODULES:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be lost in a fork"
    gc.collect()
    gc.freeze()
    if script := serve(socket.socket(fileno=int(sys.argv[1]))):
        runpy.run_path(script, run_name="__main__")
    else:
        runpy.run_module("inboxsync", run_name="__main__")
