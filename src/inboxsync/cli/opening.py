"""Opens the configured inboxsync for the length of a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from inboxsync.cli.logs import configure_logs
from inboxsync.engine import Engine
from inboxsync.settings import Settings, load_settings


@contextmanager
def open_engine(settings: Settings | None = None) -> Iterator[Engine]:
    """An engine with these settings, or the environment's; logs go where they say."""
    chosen = settings or load_settings()
    configure_logs(chosen.log_format)
    engine = Engine(chosen)
    try:
        yield engine
    finally:
        engine.close()
