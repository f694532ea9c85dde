"""One request to the dashboard: who is logged in, what was sent, and how to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from inboxsync.api import Caller, Service
from inboxsync.api.problems import RequestInvalid
from inboxsync.api.schemas import filter_mark
from inboxsync.model import Scope
from inboxsync.store.state.pages import stored_id
from inboxsync.web.rendering import query, render
from inboxsync.web.sessions import Session, Sessions
from inboxsync.web.wording import some

MAY = {
    Scope.READ: "read",
    Scope.SYNC: "read and sync",
    Scope.ADMIN: "do everything",
}
# The messages that a redirect may show, by their name in the address. An address never carries shown text.
_NOTICES: Mapping[str, tuple[str, str]] = {
    "sync": ("good", "The sync has started. It continues if you close this page."),
    "verify": ("good", "The verification has started. It continues if you close this page."),
    "busy": ("warn", "This Page has a run in progress already. It is shown below."),
    "paused": ("good", "Paused. This Page is synced only when you start it."),
    "resumed": ("good", "Resumed. This Page is synced automatically again."),
    "cancelled": ("good", "The run ends at its next batch. Everything fetched so far is stored."),
    "saved": ("good", "Saved."),
    "revoked": ("good", "The key was revoked. It no longer works."),
    "none": ("warn", "No Page was selected. Tick the boxes of some Pages, then choose what to do."),
    "added": ("good", "The Page was added. Its token works and is stored encrypted."),
    "renewed": ("good", "The Page has a new token. It works and is stored encrypted."),
}
# The same about many Pages at once, with their number.
_COUNTED: Mapping[str, str] = {
    "many-sync": "Started the sync of {}.",
    "many-verify": "Started the verification of {}.",
    "many-paused": "Paused {}: synced only when you start it.",
    "many-resumed": "Resumed {}: synced automatically again.",
}
_TOLD = frozenset({"done", "n", "busy"})
# Where in a list, which is no part of its filter.
_PLACES = frozenset({"after", "before"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at a page, for the templates."""

    name: str
    scope: Scope
    csrf: str
    is_open: bool

    @property
    def may(self) -> str:
        """What their key allows, in words."""
        return MAY[self.scope]

    @property
    def may_sync(self) -> bool:
        """Whether they may start and cancel runs."""
        return self.scope.covers(Scope.SYNC)

    @property
    def may_admin(self) -> bool:
        """Whether they may add Pages, and change schedules and keys."""
        return self.scope.covers(Scope.ADMIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """What a view gets. `form` is empty unless a form with the right token was sent.

    `lists` has every value of each field of the form, in their order; `form` the last one.
    """

    request: Request
    service: Service
    sessions: Sessions
    session: Session
    caller: Caller | None
    form: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def visitor(self) -> Visitor:
        """Who looks at the page."""
        caller = self.caller
        return Visitor(
            name=caller.name if caller else "",
            scope=caller.scope if caller else Scope.READ,
            csrf=self.session.csrf,
            is_open=caller is not None,
        )

    @property
    def now(self) -> datetime:
        """The current time of the service."""
        return self.service.engine.clock.now()

    @property
    def zone(self) -> tzinfo:
        """The one zone of all times and days that the dashboard shows: that of the settings."""
        return self.service.engine.settings.zone

    def param(self, name: str) -> str:
        """A query parameter, empty if it is missing; without NUL, which no database stores."""
        return self.request.query_params.get(name, "").replace("\0", "").strip()

    def path_param(self, name: str) -> str:
        """A parameter of the path; an id as it is stored."""
        return stored_id(str(self.request.path_params[name]).replace("\0", ""))

    @property
    def mark(self) -> str:
        """What a cursor keeps of this list's filter: it continues no other one."""
        names = set(self.request.query_params) - _TOLD - _PLACES
        return filter_mark(**{name: self.param(name) or None for name in names})

    def since_param(self, name: str = "since") -> datetime | None:
        """When the day in the address begins, in the time zone of the settings; None if there is none.

        Raises RequestInvalid if it is not a day: the page would show everything as if it were newer.
        """
        if not (text := self.param(name)):
            return None
        try:
            midnight = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=self.zone)
            return midnight.astimezone(UTC)
        except (ValueError, OverflowError):
            raise RequestInvalid("This is not a day.", hint="Write it as 2026-01-31.") from None

    def show(self, template: str, *, here: str, status: int = 200, **context: Any) -> Response:  # noqa: ANN401
        """A page of the dashboard."""
        kind, text = self._notice()
        shared = {
            "visitor": self.visitor,
            "here": here,
            "now": self.now,
            "zone": self.zone,
            "notice": {"kind": kind, "text": text} if text else None,
        }
        return HTMLResponse(render(template, **(shared | context)), status_code=status)

    def _notice(self) -> tuple[str, str]:
        """What a form has done, and how it went: the name is in the address, with counts at most."""
        done = self.param("done")
        if done not in _COUNTED:
            return _NOTICES.get(done, ("", ""))
        count, busy = self._count("n"), self._count("busy")
        words = _COUNTED[done].format(some(count, "Page"))
        if busy:
            words += f" {some(busy, 'Page')} had a run in progress already."
        return ("good" if count else "warn"), words

    def _count(self, name: str) -> int:
        text = self.param(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004 - no count is longer

    def redirect(self, path: str, *, done: str = "") -> Response:
        """Go to another page after a form."""
        joint = "&" if "?" in path else "?"
        return RedirectResponse(f"{path}{joint}done={done}" if done else path, status_code=303)

    def url_with(self, path: str, **changes: str | None) -> str:
        """The address of this list with changed parameters, without empty ones."""
        kept = {name: value for name, value in self.request.query_params.items() if name not in _TOLD}
        made = query(kept | changes)
        return f"{path}?{made}" if made else path
