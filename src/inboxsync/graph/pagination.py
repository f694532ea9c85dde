"""How a list is asked for, and where an answer says that it goes on (graph-facts 1.8)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from inboxsync.errors import SourceRefused
from inboxsync.graph.body import FaultError
from inboxsync.graph.errors import Fault
from inboxsync.graph.requests import Params
from inboxsync.model import Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def list_params(*, fields: str, limit: int, after: str | None) -> Params:
    """What every list is asked with."""
    asked: Params = {"fields": fields, "limit": limit}
    return asked | {"after": after} if after is not None else asked


def window_params(window: Window | None) -> Params:
    """The bounds on `updated_time` that Meta's SDK declares and its guide denies (graph-facts 1.3)."""
    if window is None:
        return {}
    bounds = {"updated_before_ms": window.before, "updated_after_ms": window.after}
    return {name: (at - _EPOCH) // _MILLISECOND for name, at in bounds.items() if at is not None}


def read_list(body: dict[str, Any]) -> list[Any]:
    """The entries. Raises FaultError where the answer has no list."""
    data = body.get("data")
    if not isinstance(data, list):
        raise FaultError(Fault(message="The answer holds no list."))
    return data


def read_paging(body: dict[str, Any], *, sent: str | None) -> tuple[str | None, bool]:
    """The `after` cursor, and whether anything follows.

    Of the `next` URL, which holds the token, only the cursor is kept. Raises FaultError where
    the list goes on from the cursor that was `sent`: it would answer the same for ever. Raises
    SourceRefused where something follows and no cursor leads to it: taken for the end, it would
    be a loss.
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
        raise SourceRefused("The list goes on, and no cursor leads to the rest of it.")
    if after == sent:
        raise FaultError(Fault(message="The source handed out the cursor it was given.", repeats_cursor=True))
    return after, True


def _cursor_in(next_url: object) -> str | None:
    if not isinstance(next_url, str):
        return None
    try:
        return parse_qs(urlsplit(next_url).query).get("after", [None])[0]
    except ValueError:
        return None
