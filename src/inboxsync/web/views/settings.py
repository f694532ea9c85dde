"""`/settings`: when each Page is synced, and the API keys."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.api.keys import admin_names
from inboxsync.api.keys import make_key as make_api_key
from inboxsync.api.keys import revoke_key as revoke_api_key
from inboxsync.api.problems import LastAdminKey
from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.model import ApiKey, History, Page, Scope
from inboxsync.store.state.credentials import list_api_keys
from inboxsync.store.state.pages import get_page, set_history
from inboxsync.store.state.schedules import get_schedule, list_schedules
from inboxsync.web.explained import Explained, explained
from inboxsync.web.lists import page_list
from inboxsync.web.page_rows import EVERY, PLATFORMS, every_of, page_label
from inboxsync.web.rendering import query
from inboxsync.web.request_context import MAY, RequestContext
from inboxsync.workers import set_schedule

_HISTORIES: Final = {History.NEWEST: "the newest messages", History.ALL: "all messages"}
_WAY_BACK: Final = (
    "If you revoke it, nobody can add Pages or create keys here. To get back in, someone with a terminal on "
    "the server must run: inboxsync keys create NAME --scope admin"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One Page and when it is synced automatically."""

    id: str
    label: str
    platform_label: str
    paused: bool
    next_due_at: datetime | None
    every: str
    every_label: str
    choices: tuple[tuple[str, str], ...]
    history: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """One API key: its name, never the key itself."""

    name: str
    may: str
    prefix: str
    created_at: datetime
    revoked_at: datetime | None
    is_last_admin: bool


def show(context: RequestContext, *, problem: Explained | None = None) -> Response:
    """The schedules, and the keys for those who may administer them.

    Until a key that may do everything is there, no other can be created: it would close the dashboard to
    everyone who could create one.
    """
    with context.service.engine.store.read() as connection:
        listed = page_list(connection, context, "/settings")
        schedules = _schedules(connection, listed.pages)
        stored = list_api_keys(connection)
    admins = admin_names(context.service, stored)
    scopes = MAY if admins else {Scope.ADMIN: MAY[Scope.ADMIN]}
    return context.show(
        "settings.html",
        here="settings",
        status=422 if problem else 200,
        problem=problem,
        list=listed,
        schedules=schedules,
        histories=[(each.value, label) for each, label in _HISTORIES.items()],
        keys=[_key(key, admins) for key in stored] if context.visitor.may_admin else None,
        scopes=[(scope.value, label) for scope, label in scopes.items()],
        is_first=not admins,
    )


def change_schedule(context: RequestContext) -> Response:
    """Store what the form of one Page says."""
    every, history = context.form.get("every", ""), context.form.get("history", "")
    if history not in set(History):
        raise SettingsInvalid("This is not a schedule.", hint="Choose one of those in the list.")
    with context.service.engine.store.write() as connection:
        page = get_page(connection, context.form.get("page", ""))
        known, _ = every_of(get_schedule(connection, page.id))
        if every not in {*EVERY, known}:
            raise SettingsInvalid("This is not a schedule.", hint="Choose one of those in the list.")
        set_schedule(
            connection,
            page,
            every_seconds=int(every) if every != known else None,
            is_paused=context.form.get("paused") == "1",
            now=context.now,
        )
        set_history(connection, page, History(history), now=context.now)
    place = query({name: context.form.get(name) for name in ("named", "after")})
    return context.redirect(f"/settings?{place}" if place else "/settings", done="saved")


def make_key(context: RequestContext) -> Response:
    """Create a key and show it once."""
    name, scope = context.form.get("name", "").strip(), context.form.get("scope", "")
    try:
        chosen = Scope(scope) if scope in set(Scope) else Scope.READ
        key, text = make_api_key(context.service, name, chosen)
    except InboxsyncError as refused:
        return show(context, problem=explained(refused, is_form=True))
    return context.show("key_made.html", here="settings", text=text, name=key.name, may=MAY[key.scope])


def revoke_key(context: RequestContext) -> Response:
    """Make a key invalid from now on; the last one that may do everything, only if that is confirmed."""
    try:
        revoke_api_key(
            context.service,
            context.form.get("name", ""),
            is_confirmed=context.form.get("confirmed") == "1",
        )
    except LastAdminKey as refused:
        return show(context, problem=Explained(text=refused.message, advice=_WAY_BACK))
    return context.redirect("/settings", done="revoked")


def _schedules(connection: Connection, pages: list[Page]) -> list[ScheduleRow]:
    rows = []
    schedules = list_schedules(connection, [page.id for page in pages])
    for page in pages:
        schedule = schedules[page.id]
        every, label = every_of(schedule)
        rows.append(
            ScheduleRow(
                id=page.id,
                label=page_label(page),
                platform_label=PLATFORMS[page.platform],
                paused=schedule.is_paused,
                next_due_at=schedule.next_sync_at,
                every=every,
                every_label=label,
                # An interval set on the command line is offered too, so that saving does not change it.
                choices=tuple(EVERY.items() if every in EVERY else [*EVERY.items(), (every, label)]),
                history=page.history.value,
            )
        )
    return rows


def _key(key: ApiKey, admins: set[str]) -> KeyRow:
    return KeyRow(
        name=key.name,
        may=MAY[key.scope],
        prefix=key.prefix,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        is_last_admin=admins == {key.name},
    )
