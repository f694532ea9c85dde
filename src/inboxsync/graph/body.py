"""From an answer's bytes to JSON, whatever the bytes are."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from inboxsync.graph.errors import Fault

_SHOWN_CHARACTERS = 80
_READ_BYTES = 4_000
# HTTP's own line between answers and refusals.
_FIRST_REFUSAL = 400
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class FaultError(Exception):
    """Carries a `Fault` from where it is seen to where it is treated."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def decode_body(
    body: bytes,
    *,
    status: int,
    redact: Callable[[str], str],
    decode_fast: Callable[[bytes], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The JSON object of an answer.

    `read_usual` reads an answer of the usual shape faster, or raises DecodeError. `redact` takes
    the token out of what is shown of an unreadable one. Raises FaultError for an error envelope,
    and for all that is no object: an HTML page, an empty body, `null`, a cut one (graph-facts 3).
    """
    if decode_fast is not None and status < _FIRST_REFUSAL:
        with suppress(*_UNREADABLE):
            return decode_fast(body)
    answer = _decode_json(body, status, redact)
    if not isinstance(answer, dict):
        raise FaultError(Fault(message=f"The answer (HTTP {status}) holds no data.", status=status))
    error = answer.get("error")
    if isinstance(error, dict):
        raise FaultError(Fault.from_error_body(error, status=status))
    if status >= _FIRST_REFUSAL:
        raise FaultError(Fault(message=f"HTTP {status} without a Graph error.", status=status))
    return answer


def _decode_json(body: bytes, status: int, redact: Callable[[str], str]) -> object:
    if not body.strip():
        raise FaultError(Fault(message=f"The answer (HTTP {status}) is empty.", status=status))
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE:
        pass
    # A text cut inside an emoji is half a surrogate pair: msgspec refuses it, json does not.
    try:
        return mend_surrogates(json.loads(body))
    except (ValueError, RecursionError) as unreadable:
        # Redacted whole, then cut: half a token would no longer look like one.
        shown = " ".join(redact(body[:_READ_BYTES].decode("utf-8", "replace")).split())[:_SHOWN_CHARACTERS]
        message = f"The answer (HTTP {status}, {len(body)} bytes) is not JSON: {shown!r}."
        raise FaultError(Fault(message=message, status=status)) from unreadable


def mend_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON with each lone surrogate replaced by U+FFFD, which a database can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [mend_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {mend_surrogates(key): mend_surrogates(item) for key, item in value.items()}
    return value
