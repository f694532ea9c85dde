"""From an answer's bytes to JSON, its list and its paging, whatever the bytes are."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from inboxsync.errors import SourceRefused
from inboxsync.graph.errors import Fault, FaultError

_QUOTED_CHARACTERS = 80
_READ_BYTES = 4_000
# HTTP statuses below are answers, from here on errors.
_FIRST_ERROR_STATUS = 400
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_body(
    body: bytes,
    *,
    status: int,
    redact: Callable[[str], str],
    decode_fast: Callable[[bytes], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The JSON object of an answer.

    `decode_fast` decodes an answer of the usual shape faster, or raises DecodeError. `redact` removes
    the token from what an error quotes. Raises FaultError for a Graph error, and for everything that
    is no object: an HTML page, an empty body, `null`, a cut body (graph-facts 3).
    """
    if decode_fast is not None and status < _FIRST_ERROR_STATUS:
        with suppress(*_NOT_JSON):
            return decode_fast(body)
    answer = _decode_json(body, status, redact)
    if not isinstance(answer, dict):
        raise FaultError(Fault(message=f"The answer (HTTP {status}) holds no data.", status=status))
    error = answer.get("error")
    if isinstance(error, dict):
        raise FaultError(Fault.from_error_body(error, status=status))
    if status >= _FIRST_ERROR_STATUS:
        raise FaultError(Fault(message=f"HTTP {status} without a Graph error.", status=status))
    return answer


def read_list(body: dict[str, Any]) -> list[Any]:
    """The entries of a list answer. Raises FaultError if it has no list."""
    data = body.get("data")
    if not isinstance(data, list):
        raise FaultError(Fault(message="The answer holds no list."))
    return data


def read_paging(body: dict[str, Any], *, sent: str | None) -> tuple[str | None, bool]:
    """The `after` cursor, and whether anything follows: the `next` URL is the only sign (graph-facts 1.8).

    Only the cursor of the `next` URL is kept, because the URL holds the token. Raises FaultError if
    the next cursor is the one that was `sent`: the list would answer the same for ever. Raises
    SourceRefused if something follows and there is no cursor: to take that for the end would lose data.
    """
    paging = body.get("paging")
    if not isinstance(paging, dict):
        return None, False
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    following = paging.get("next")
    if not following:
        return (after if isinstance(after, str) else None), False
    if not (isinstance(after, str) and after):
        after = _cursor_in(following)
    if not after:
        raise SourceRefused("Meta says that the list continues, and gives no cursor for the rest of it.")
    if after == sent:
        raise FaultError(Fault(message="Meta returned the cursor that it was sent.", repeats_cursor=True))
    return after, True


def _cursor_in(next_url: object) -> str | None:
    if not isinstance(next_url, str):
        return None
    try:
        return parse_qs(urlsplit(next_url).query).get("after", [None])[0]
    except ValueError:
        return None


def _decode_json(body: bytes, status: int, redact: Callable[[str], str]) -> object:
    if not body.strip():
        raise FaultError(Fault(message=f"The answer (HTTP {status}) is empty.", status=status))
    try:
        return msgspec.json.decode(body)
    except _NOT_JSON:
        pass
    # A text cut inside an emoji ends in half a surrogate pair: msgspec rejects it, json does not.
    try:
        return replace_lone_surrogates(json.loads(body))
    except (ValueError, RecursionError) as unreadable:
        # Redacted first, then cut: half a token would no longer look like one.
        quoted = " ".join(redact(body[:_READ_BYTES].decode("utf-8", "replace")).split())[:_QUOTED_CHARACTERS]
        message = f"The answer (HTTP {status}, {len(body)} bytes) is not JSON: {quoted!r}."
        raise FaultError(Fault(message=message, status=status)) from unreadable


def replace_lone_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON with U+FFFD for each lone surrogate, so that a database can store it."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [replace_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_lone_surrogates(key): replace_lone_surrogates(item) for key, item in value.items()}
    return value
