"""Sandboxes for the benches, each in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BATCH = 100
MESSAGES = 10
FIELDS = (
    "id,updated_time,message_count,unread_count,snippet,link,participants,"
    "messages.limit(10){id,created_time,from,message,attachments,shares{link,name,description},sticker,reply_to}"
)


@contextmanager
def sandbox(conversations: int, *switches: str) -> Iterator[dict[str, Any]]:
    """A sandbox whose conversations have ten messages each; yields its ready line."""
    command = [sys.executable, "-m", "inboxsync", "sandbox", "--messages", f"{MESSAGES}:{MESSAGES}"]
    # Some sides take packed answers and some do not: all are to have the same.
    command += ["--conversations", str(conversations), "--no-gzip", *switches]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
