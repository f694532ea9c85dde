"""What goes wrong unexpectedly is logged with where it happened, and without the values that were there."""

import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from inboxsync.cli.logs import configure_library_logs, configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_holds_no_values(
    capsys: pytest.CaptureFixture[str], log_format: Literal["console", "json"]
) -> None:
    def fail(token: str) -> None:
        raise ZeroDivisionError(len(token) * 0)

    configure_logs(log_format)
    configure_library_logs(log_format)
    for log in (structlog.get_logger("ours"), logging.getLogger("a.library")):
        try:
            fail("EAAG" + "sesame")
        except ZeroDivisionError:
            log.exception("unexpected error")
    written = capsys.readouterr().err
    assert written.count("in fail") == 2
    assert "EAAGsesame" not in written
