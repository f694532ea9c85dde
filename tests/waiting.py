"""Waits for what has no event: it is in a database, or in another process."""

import time
from collections.abc import Callable

from tests.fixtures import PATIENCE_SECONDS


def wait_until(is_so: Callable[[], object]) -> None:
    """Look every 20 ms, for as long as tests are patient."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
