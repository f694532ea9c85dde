"""The usage headers: what Meta says of its allowances on every answer (graph-facts 2)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

# The app's own allowance: its header names no object.
APP = "app"
_MOST_PERCENT = 1000
_MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One pool, in per cent of its allowance; `regain_seconds` 0 means unknown, not now."""

    object_id: str
    type: str
    percent: int
    regain_seconds: float = 0.0


def read_usage(headers: Mapping[str, str]) -> list[Usage]:
    """Every pool that an answer tells of. An absent or unreadable header says nothing, not zero."""
    found = []
    if app := _json_object(headers.get("x-app-usage")):
        found.append(Usage(object_id=APP, type=APP, percent=_percent(app)))
    business = _json_object(headers.get("x-business-use-case-usage"))
    for object_id, entries in business.items():
        found += [_business(object_id, entry) for entry in _objects(entries)]
    return found


def _business(object_id: str, entry: dict[str, Any]) -> Usage:
    # Minutes, of a window that is a day long.
    minutes = min(_amount(entry.get("estimated_time_to_regain_access")), _MINUTES_A_DAY)
    return Usage(
        object_id=object_id,
        type=str(entry.get("type")).lower(),
        percent=_percent(entry),
        regain_seconds=60.0 * minutes,
    )


def _objects(entries: object) -> Iterator[dict[str, Any]]:
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield entry


def _percent(entry: dict[str, Any]) -> int:
    most = max(_amount(entry.get(key)) for key in ("call_count", "total_time", "total_cputime"))
    return int(min(most, _MOST_PERCENT))


def _amount(value: object) -> float:
    return max(float(value), 0.0) if isinstance(value, int | float) else 0.0


def _json_object(text: str | None) -> dict[str, Any]:
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        value = msgspec.json.decode(text or "{}")
        if isinstance(value, dict):
            return value
    return {}
