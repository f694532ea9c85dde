"""One request to the dashboard: who asks, what they sent, and how they are answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from inboxsync.api import Caller, Service
from inboxsync.api.errors import RequestInvalid
from inboxsync.model import Scope
from inboxsync.web.rendering import query, render
from inboxsync.web.sessions import Session, Sessions

MAY = {
    Scope.READ: "look",
    Scope.SYNC: "look and sync",
    Scope.ADMIN: "do everything",
}
# What a redirect may say, by its name in the address: an address never carries text that is shown.
_NOTICES: Mapping[str, tuple[str, str]] = {
    "sync": ("good", "The sync is on its way. Closing this page does not stop it."),
    "verify": ("good", "The verification is on its way. Closing this page does not stop it."),
    "busy": ("warn", "A run of this Page is under way already; this is the one."),
    "paused": ("good", "Paused: this Page is synced by hand alone."),
    "resumed": ("good", "Resumed: this Page is synced by itself again."),
    "cancelled": ("good", "The run ends at its next batch. What was fetched is stored."),
    "saved": ("good", "Saved."),
    "revoked": ("good", "The key opens nothing from now on."),
    "added": ("good", "The Page was added. Its token works, and is stored sealed."),
    "renewed": ("good", "The Page has its new token. It works, and is stored sealed."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who looks at a page, as the templates know them."""

    name: str
    scope: Scope
    csrf: str
    is_open: bool

    @property
    def may(self) -> str:
        """What their key lets them do, in words."""
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
    """What a view is given. `form` is empty unless a form was sent, and its token was right."""

    request: Request
    service: Service
    sessions: Sessions
    session: Session
    caller: Caller | None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def visitor(self) -> Visitor:
        """Who asks."""
        caller = self.caller
        return Visitor(
            name=caller.name if caller else "",
            scope=caller.scope if caller else Scope.READ,
            csrf=self.session.csrf,
            is_open=caller is not None,
        )

    @property
    def now(self) -> datetime:
        """The service's own time."""
        return self.service.engine.clock.now()

    def asked(self, name: str) -> str:
        """A parameter of the address, empty where it is not there, without NUL, which no database takes."""
        return self.request.query_params.get(name, "").replace("\0", "").strip()

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name]).replace("\0", "")

    def asked_since(self, name: str = "since") -> datetime | None:
        """A day of the address as the instant it begins in the settings' time zone; None where there is none.

        Raises RequestInvalid where it is none: to show everything would say that all is since then.
        """
        if not (text := self.asked(name)):
            return None
        try:
            midnight = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=self.service.engine.settings.zone)
            return midnight.astimezone(UTC)
        except (ValueError, OverflowError):
            raise RequestInvalid("That is no day.", hint="Write it as 2026-01-31.") from None

    def show(self, template: str, *, here: str, status: int = 200, **context: Any) -> Response:  # noqa: ANN401
        """A page of the dashboard."""
        kind, text = _NOTICES.get(self.asked("done"), ("", ""))
        shared = {
            "visitor": self.visitor,
            "here": here,
            "now": self.now,
            "notice": {"kind": kind, "text": text} if text else None,
        }
        return HTMLResponse(render(template, **(shared | context)), status_code=status)

    def go(self, path: str, *, done: str = "") -> Response:
        """On to another page after a form."""
        joint = "&" if "?" in path else "?"
        return RedirectResponse(f"{path}{joint}done={done}" if done else path, status_code=303)

    def here_with(self, path: str, **changes: str | None) -> str:
        """This list's address with other parameters, without those that are empty."""
        kept = {name: value for name, value in self.request.query_params.items() if name != "done"}
        made = query(kept | changes)
        return f"{path}?{made}" if made else path
