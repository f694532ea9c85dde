"""Every line of a log is one of ours, also where a library speaks; and no line holds values."""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from inboxsync.cli.process import configure_logs
from tests.fixtures import PATIENCE_SECONDS, PostgresServer

# What every command does that opens the database, and then libraries speak.
_LIBRARIES_SPEAK = """
import logging, warnings
from inboxsync.cli.process import open_engine
with open_engine():
    logging.getLogger("psycopg").warning("unknown time zone %r", "Mars")
    logging.getLogger("aiohttp.client").error("Unclosed connection\\n")
    logging.getLogger("asyncio").info("of no interest")
    warnings.warn("this will go")
"""
# The server ends the connection while a batch is under way: psycopg warns as it leaves its pipeline.
_CONNECTION_IS_LOST = """
import sys
from sqlalchemy import text
from inboxsync.cli.process import configure_logs
from inboxsync.errors import StoreUnreachable
from inboxsync.store import Store
if sys.argv[2] != "none":
    configure_logs(sys.argv[2])
store = Store.open(sys.argv[1])
try:
    with store.write() as connection:
        rows = [{"value": 1000 * "x"}] * 3000
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid()), :value"), rows)
except StoreUnreachable as error:
    print(error.code)
store.close()
"""


@pytest.fixture
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        yield
        logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_holds_no_values(
    capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"]
) -> None:
    def fail(token: str) -> None:
        raise ZeroDivisionError(len(token) * 0)

    configure_logs(log_format)
    for log in (structlog.get_logger("ours"), logging.getLogger("a.library")):
        try:
            fail("EAAG" + "sesame")
        except ZeroDivisionError:
            log.exception("unexpected error")
    written = capsys.readouterr().err
    assert written.count("in fail") == 2
    assert "EAAGsesame" not in written


def speak(script: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True
    )


def test_what_libraries_warn_of_is_json_where_json_is_asked_for(environment: dict[str, str]) -> None:
    spoken = speak(_LIBRARIES_SPEAK, environment=environment | {"INBOXSYNC_LOG_FORMAT": "json"})
    driver, client, deprecated = [json.loads(line) for line in spoken.stderr.splitlines()]
    assert (driver["logger"], driver["level"]) == ("psycopg", "warning")
    assert driver["event"] == "unknown time zone 'Mars'"
    assert (client["logger"], client["level"], client["event"]) == (
        "aiohttp.client",
        "error",
        "Unclosed connection",
    )
    assert (deprecated["logger"], deprecated["level"]) == ("py.warnings", "warning")
    assert "this will go" in deprecated["event"]


def test_what_libraries_warn_of_looks_like_a_line_of_ours_on_a_console(environment: dict[str, str]) -> None:
    spoken = speak(_LIBRARIES_SPEAK, environment=environment | {"INBOXSYNC_LOG_FORMAT": "console"})
    driver, client, *_ = spoken.stderr.splitlines()
    assert all(part in driver for part in ("[warning  ]", "unknown time zone 'Mars'", "[psycopg]"))
    assert all(part in client for part in ("[error    ]", "Unclosed connection", "[aiohttp.client]"))


@pytest.mark.parametrize("log_format", ["none", "console", "json"])
def test_a_connection_that_is_lost_is_reported_once_and_not_by_the_driver_too(
    server: PostgresServer, environment: dict[str, str], log_format: str
) -> None:
    url = server.create()
    lost = speak(_CONNECTION_IS_LOST, url, log_format, environment=environment)
    server.drop(url)
    assert (lost.stdout, lost.stderr) == ("store_unreachable\n", "")
