"""No value that comes from outside controls the terminal that shows a log."""

import logging
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
import structlog

from inboxsync.cli.process import configure_logs
from tests.attacks.fixtures import HARMFUL, OpenSite
from tests.waiting import wait_until


@pytest.fixture
def _console_logs() -> Iterator[None]:
    """As `inboxsync serve` has them by default."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs("console")
        yield
        logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


ours = structlog.get_logger("ours")


def fail(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        error.args = (text,)
        ours.exception("unexpected error")


WAYS: dict[str, Callable[[str], object]] = {
    "a value": lambda text: ours.info("answered", path=text),
    "a value with a blank": lambda text: ours.info("answered", path=f"a b{text}"),
    "values in a list": lambda text: ours.info("answered", ids=[text], more={text: 1}),
    "an error as a value": lambda text: ours.info("failed", error=OSError(5, text)),
    "an event": lambda text: ours.warning(f"{text}"),
    "a library's line": lambda text: logging.getLogger("a.library").warning("got %s", text),
    "a warning": lambda text: warnings.warn(text, stacklevel=1),
    "the text of an error": fail,
}


@pytest.mark.usefixtures("_console_logs")
@pytest.mark.parametrize("way", WAYS)
def test_no_logged_value_reaches_a_terminal_raw(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    WAYS[way]("begin" + "".join(HARMFUL) + "end\nforged")
    written = capsys.readouterr().err
    assert not set(written) & set(HARMFUL)
    assert "begin" in written
    if way != "the text of an error":
        assert len(written.splitlines()) == 1


@pytest.mark.usefixtures("_console_logs")
def test_a_stranger_cannot_write_to_the_terminal_of_the_service(
    site: OpenSite, capsys: pytest.CaptureFixture[str]
) -> None:
    client = site().client()
    for character in (*HARMFUL, "\n"):
        client.get(f"/api/v1/{quote(character)}]0;own")
        client.get("/", headers={"Host": "evil.example", "X-Request-ID": "a\tb"})
    written = ""

    def is_logged() -> bool:
        nonlocal written
        written += capsys.readouterr().err
        return written.count("/api/v1/%") == len(HARMFUL) + 1

    wait_until(is_logged)
    assert not set(written) & set(HARMFUL)
    assert "%1B]0;own" in written
