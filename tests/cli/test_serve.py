"""`inboxsync serve` and `inboxsync keys` as their users run them: real processes, real signals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from threading import Thread
from typing import Protocol

import pytest

from inboxsync.cli.serve import _listen
from tests.cli.fixtures import Inbox, MakeInbox, Run, Start
from tests.fixtures import PATIENCE_SECONDS, Json
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_CALL = (
    "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), "
    "{'Content-Type': 'application/json'})).read().decode())"
)

_LISTEN = (
    "import sys, urllib.request as u; answer = u.urlopen(sys.argv[1]); "
    "print('listening', flush=True); answer.read()"
)


@dataclass
class Service:
    """A running `inboxsync serve`; its lines so far are in `log`."""

    process: subprocess.Popen[str]
    url: str
    log: list[str]
    # No one else reads the pipe, and a process that writes into a full one waits.
    reader: Thread

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Json]:
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(  # noqa: S310 - our own
            self.url + path, data, {"Content-Type": "application/json"} | headers
        )
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def end(self, number: int = signal.SIGTERM, then: Callable[[], None] = lambda: None) -> int:
        """Its exit code, after that signal and no other; `then` is called when it has begun to end."""
        self.process.send_signal(number)
        wait_until(lambda: any('"ending"' in line for line in self.log))
        then()
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join(PATIENCE_SECONDS)
        return code


class Serving(Protocol):
    def __call__(self, *switches: str, **environment: str) -> Service: ...


@pytest.fixture
def service(start: Start) -> Serving:
    def serve(*switches: str, **environment: str) -> Service:
        process = start("serve", "--port", "0", *switches, INBOXSYNC_LOG_FORMAT="json", **environment)
        assert process.stderr is not None
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if '"serving"' in line:
                reader = Thread(target=log.extend, args=(process.stderr,), daemon=True)
                reader.start()
                return Service(process, json.loads(line)["url"], log, reader)
        raise AssertionError("".join(log))

    return serve


def test_without_a_key_it_refuses_to_listen_elsewhere(run: Run) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - which is the point
    assert refused.returncode == 2
    assert refused.stderr.startswith("inboxsync: Without an API key everyone who reaches 0.0.0.0 could read")
    assert refused.stderr.count("\n") == 2
    assert "Traceback" not in refused.stderr


def test_a_key_is_shown_once_and_opens_until_it_is_revoked(
    run: Run, service: Serving, environment: dict[str, str]
) -> None:
    made = run("keys", "create", "script", "--scope", "sync")
    key = made.stdout.strip()
    assert made.returncode == 0
    assert key.startswith("ibs_")
    assert key not in run("keys", "list").stdout + run("keys", "list", "--json").stdout + made.stderr
    again = run("keys", "create", "script")
    assert (again.returncode, again.stdout) == (2, "")
    running = service("--no-worker")
    header = {"Authorization": f"Bearer {key}"}
    assert running.ask("/api/v1/pages", **header)[0] == 200
    assert running.ask("/api/v1/pages")[0] == 401
    assert run("keys", "revoke", "script").returncode == 0
    # A running service looks once a second.
    wait_until(lambda: running.ask("/api/v1/pages", **header)[0] == 401)
    assert running.end() == 0
    written = "".join(running.log)
    assert key not in written
    database = os.path.join(environment["INBOXSYNC_DATA_DIR"], "inboxsync.db")  # noqa: PTH118
    with open(database, "rb") as file:  # noqa: PTH123
        assert key.encode() not in file.read()


def test_a_taken_port_is_one_sentence(run: Run, service: Serving) -> None:
    running = service("--no-worker")
    port = running.url.rpartition(":")[2]
    refused = run("serve", "--port", port, "--no-worker")
    assert refused.returncode == 1
    assert re.match(rf"inboxsync: 127.0.0.1 port {port} cannot be listened on: ", refused.stderr)


def test_no_answer_waits_for_the_reader_half_way() -> None:
    with closing(_listen("127.0.0.1", 0)) as listener, closing(socket.socket()) as reader:
        reader.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_sigterm_drains_and_the_interrupted_run_continues_after_the_restart(
    inbox: MakeInbox, service: Serving
) -> None:
    box = inbox("--conversations", "500", "--messages", "1:2", batch_size=25)
    box.hold(after=6)
    ((page_id, meta_id),) = box.query("SELECT id, facebook_page_id FROM facebook_pages")
    first = service()
    status, answer = first.ask(
        "/api/conversations/sync", {"pageId": page_id, "facebookPageId": meta_id}, Prefer="respond-async"
    )
    assert (status, answer["complete"]) == (202, False)
    wait_until(lambda: box.query("SELECT COUNT(*) FROM messenger_conversations")[0][0])
    command = [sys.executable, "-c", _LISTEN, f"{first.url}{answer['location']}/stream"]
    listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"
    code = first.end(then=box.release)
    assert (code, listener.wait(PATIENCE_SECONDS)) == (0, 0)
    listener.stdout.close()
    stored = box.query("SELECT COUNT(*) FROM messenger_conversations")[0][0]
    assert 0 < stored < 500
    second = service()
    wait_until(lambda: second.ask(answer["location"])[1]["status"] not in ("queued", "running"))
    run = second.ask(answer["location"])[1]
    assert (run["status"], run["complete"]) == ("complete", True)
    assert box.query("SELECT COUNT(*) FROM messenger_conversations")[0][0] == 500
    assert second.end(signal.SIGINT) == 0


def test_a_waiting_caller_is_answered_when_the_service_ends(inbox: MakeInbox, service: Serving) -> None:
    box = inbox("--conversations", "500")
    box.hold(after=0)
    ((page_id, meta_id),) = box.query("SELECT id, facebook_page_id FROM facebook_pages")
    running = service()
    asked = json.dumps({"pageId": page_id, "facebookPageId": meta_id})
    caller = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            _CALL,
            f"{running.url}/api/conversations/sync",
            asked,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: box.query("SELECT COUNT(*) FROM sync_runs WHERE status = 'running'")[0][0])
    assert running.end(then=box.release) == 0
    answer = json.loads(caller.communicate(timeout=PATIENCE_SECONDS)[0])
    assert (answer["success"], answer["complete"]) == (False, False)
    assert answer["next"]


def workers_in(box: Inbox) -> list[int]:
    """Process ids of the workers in the registry."""
    return [int(worker.split(":")[-2]) for (worker,) in box.query("SELECT id FROM workers")]


def test_a_worker_that_is_killed_is_restarted_and_the_run_continues(
    inbox: MakeInbox, service: Serving
) -> None:
    box = inbox("--conversations", "500", "--messages", "1:2", batch_size=25)
    box.hold(after=6)
    ((page_id, meta_id),) = box.query("SELECT id, facebook_page_id FROM facebook_pages")
    running = service()
    asked = {"pageId": page_id, "facebookPageId": meta_id}
    answer = running.ask("/api/conversations/sync", asked, Prefer="respond-async")[1]
    wait_until(lambda: box.query("SELECT COUNT(*) FROM messenger_conversations")[0][0])
    (first,) = workers_in(box)
    os.kill(first, signal.SIGKILL)
    box.release()
    wait_until(lambda: running.ask(answer["location"])[1]["status"] == "complete")
    assert box.query("SELECT COUNT(*) FROM messenger_conversations")[0][0] == 500
    (second,) = workers_in(box)
    assert second != first
    assert running.end() == 0
    lines = [json.loads(line) for line in running.log if line.startswith("{")]
    assert [each["why"] for each in lines if each["event"] == "the worker has ended"] == ["signal 9"]
    assert [each["event"] for each in lines].count("worker started") == 2


def test_the_worker_ends_when_the_service_is_killed(inbox: MakeInbox, service: Serving) -> None:
    box = inbox("--conversations", "10")
    running = service()
    wait_until(lambda: workers_in(box))
    running.process.kill()
    # It writes to the same pipe, and holds it open for as long as it lives.
    running.reader.join(PATIENCE_SECONDS)
    assert not running.reader.is_alive()


@pytest.mark.parametrize("seconds_later", [0, 0.3])
def test_ctrl_c_reaches_both_and_both_end(inbox: MakeInbox, service: Serving, seconds_later: float) -> None:
    box = inbox("--conversations", "10")
    running = service()
    wait_until(lambda: workers_in(box))
    (worker,) = workers_in(box)
    running.process.send_signal(signal.SIGINT)
    time.sleep(seconds_later)  # the service may have asked it already
    os.kill(worker, signal.SIGINT)
    assert running.process.wait(PATIENCE_SECONDS) == 0
    running.reader.join(PATIENCE_SECONDS)
    lines = [json.loads(line)["event"] for line in running.log if line.startswith("{")]
    assert {"ending", "worker drains", "worker ended", "ended"} <= set(lines)
    assert "the worker has ended" not in lines


@pytest.mark.parametrize(
    "command",
    [["--help"], ["sync", "--help"], ["verify", "--help"], ["pages", "list"], ["report"], ["search", "x"]],
)
def test_other_commands_import_no_server_and_no_network(
    command: list[str], environment: dict[str, str]
) -> None:
    code = (
        "import sys\nsys.argv[1:] = " + repr(command) + "\nfrom inboxsync.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'fastapi', 'uvicorn', 'dbos', 'starlette', 'prometheus_client'}\n"
        "heavy = (heavy | {'aiohttp', 'yarl', 'httpx2'}) & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
