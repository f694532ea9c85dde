"""A failed call, as the answer told it, before anyone has decided what to do about it."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What came instead of data.

    `code` is None where there was no Graph error envelope: no answer at all, HTML, an
    empty body, `null`, a cut body. `message` holds no token. `is_answered` is False where there
    was not even a connection. `repeats_cursor`: a list answered with the cursor it was given.
    """

    message: str
    code: int | None = None
    subcode: int | None = None
    status: int | None = None
    is_transient: bool = False
    trace_id: str | None = None
    is_answered: bool = True
    repeats_cursor: bool = False

    def __str__(self) -> str:
        if self.code is None:
            return self.message
        number = f"{self.code}/{self.subcode}" if self.subcode else f"{self.code}"
        trace = f", trace {self.trace_id}" if self.trace_id else ""
        return f"{self.message} (Graph error {number}{trace})"

    @classmethod
    def from_error_body(cls, error: dict[str, Any], *, status: int) -> Self:
        """Read Graph's `error` object; every key of it may be missing (graph-facts 3)."""
        message = error.get("message")
        user_message = error.get("error_user_msg")
        text = message if isinstance(message, str) and message else "The source refused the call."
        if isinstance(user_message, str) and user_message and user_message != text:
            text = f"{text} {user_message}"
        trace_id = error.get("fbtrace_id")
        return cls(
            message=text,
            code=_number(error.get("code")),
            subcode=_number(error.get("error_subcode")),
            status=status,
            is_transient=error.get("is_transient") in (True, "true", 1),
            trace_id=trace_id if isinstance(trace_id, str) else None,
        )


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None
