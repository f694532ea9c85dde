"""Real conversations from a file: NDJSON, gzipped or not.

One object a line: `{"id", "customer": {"name"}, "messages": [{"from": "customer"|"page",
"text", "at": ISO 8601 | null}]}`. Texts and names are served as they are. In Graph every
message has a time and lists are ordered by it. If the file has no time, or one before the
previous message's, a time is derived; the notes say how often.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# A conversation without any time gets one this long before the end of the world.
_UNKNOWN_SECONDS_APART = 60
_GZIP_MAGIC = b"\x1f\x8b"


class DatasetError(Exception):
    """The file cannot be served; the message names it, the line, and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A conversation of the file; messages oldest first, as (from the Page, text, epoch seconds)."""

    id: str
    customer: str
    messages: tuple[tuple[bool, str, int], ...]

    @property
    def ends_at(self) -> int:
        """When its newest message was sent."""
        return self.messages[-1][2] if self.messages else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The conversations in the file's order, and what was derived."""

    conversations: tuple[Recorded, ...]
    notes: tuple[str, ...]


def load_dataset(path: Path, *, limit: int | None, anchor: int) -> Dataset:
    """Read a file; `limit` takes the first so many. Raises DatasetError.

    `anchor` is the time, in seconds since the epoch, before which derived times lie.
    """
    found: list[Recorded] = []
    lines: dict[str, int] = {}
    derived = nudged = 0
    for number, entry in _entries(path):
        if limit is not None and len(found) >= limit:
            break
        try:
            recorded, made, moved = _read(entry, number, anchor)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise DatasetError(f"{path}, line {number}: {_reason(wrong)}.") from None
        if recorded.id in lines:
            raise DatasetError(
                f"{path}, line {number}: the id {recorded.id!r} was in line {lines[recorded.id]} already."
            )
        lines[recorded.id] = number
        found.append(recorded)
        derived += made
        nudged += moved
    if not found:
        raise DatasetError(f"{path} holds no conversation.")
    return Dataset(conversations=tuple(found), notes=tuple(_notes(derived, nudged)))


def _entries(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open("rb") as probe:
            is_gzip = probe.read(2) == _GZIP_MAGIC
        with gzip.open(path, "rb") if is_gzip else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _parse(path, number, line)
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.") from None
    except (OSError, EOFError, zlib.error) as unreadable:
        raise DatasetError(f"{path} cannot be read: {unreadable}.") from None


def _parse(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except UnicodeDecodeError:
        raise DatasetError(f"{path}, line {number}: it is not UTF-8.") from None
    except ValueError as wrong:
        raise DatasetError(f"{path}, line {number}: it is not JSON ({wrong}).") from None


def _read(entry: Any, number: int, anchor: int) -> tuple[Recorded, int, int]:
    if not isinstance(entry, dict):
        raise TypeError("it is not an object")
    times = [_seconds(message["at"]) for message in entry["messages"]]
    ends_at = anchor - number * _UNKNOWN_SECONDS_APART
    whole, derived, nudged = _whole_times(times, ends_at)
    messages = []
    for message, at in zip(entry["messages"], whole, strict=True):
        if message["from"] not in ("customer", "page"):
            raise ValueError(f"a message is from {message['from']!r}, not customer or page")
        if not isinstance(message["text"], str):
            raise TypeError("a message's text is not text")
        messages.append((message["from"] == "page", message["text"], at))
    if not isinstance(entry["id"], str) or not isinstance(entry["customer"]["name"], str):
        raise TypeError("the id or the customer's name is not text")
    return (
        Recorded(id=entry["id"], customer=entry["customer"]["name"], messages=tuple(messages)),
        derived,
        nudged,
    )


def _whole_times(times: list[int | None], ends_at: int) -> tuple[list[int], int, int]:
    """Times that never go back, in the file's order; how many were missing, how many changed."""
    known = [at for at in times if at is not None]
    at = known[0] if known else ends_at - len(times)
    whole: list[int] = []
    derived = nudged = 0
    for given in times:
        derived += given is None
        nudged += given is not None and given < at
        at = max(at, given) if given is not None else at + (1 if whole else 0)
        whole.append(at)
    return whole, derived, nudged


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _reason(wrong: Exception) -> str:
    return f"it has no {wrong}" if isinstance(wrong, KeyError) else str(wrong)


def _notes(derived: int, nudged: int) -> Iterator[str]:
    if derived:
        yield f"{derived:,} messages have no time in the file: the sandbox derived one for each."
    if nudged:
        yield f"{nudged:,} messages have a time before the one they follow: they are served with that one's."
