"""`/pages/{id}` and `/pages/new`: one Page, and the form that adds one.

The token comes in once, and never goes out.
"""

from datetime import datetime, time, timedelta, tzinfo
from typing import Final

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.model import Page, Platform, Run, TokenState
from inboxsync.store.reading import (
    ConversationFilter,
    get_overview,
    list_conversations,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.state.backlog import count_older, list_failed_backlog
from inboxsync.store.state.pages import get_page, newest_verification
from inboxsync.store.state.runs import list_runs
from inboxsync.store.state.schedules import get_schedule
from inboxsync.sync import completeness_of
from inboxsync.web.charts import DayBars, HeatMap, day_bars, heat_map
from inboxsync.web.explained import Explained, explained, explained_token
from inboxsync.web.page_rows import PLATFORMS, PageRow, page_label, page_row
from inboxsync.web.request_context import RequestContext
from inboxsync.web.run_rows import run_row
from inboxsync.web.verification import VerificationView, verification_view
from inboxsync.web.views.runs import live_of
from inboxsync.workers import set_schedule

_DAYS: Final = 60
_HEAT: Final = timedelta(weeks=26)
_RUNS: Final = 10
_REASONS: Final = 3
# As many messages of each conversation as a sync fetches by default.
_NEWEST: Final = 10
_LONGEST_ID = 32
_LONGEST_NAME = 200
_LONGEST_TOKEN = 4096


def show(context: RequestContext) -> Response:
    """One Page: its run, its completeness, its figures and charts, its last runs."""
    now = context.now
    with context.service.engine.store.read() as connection:
        page = get_page(connection, context.path_param("id"))
        runs = list_runs(connection, page_id=page.id, limit=_RUNS)
        active = next((run for run in runs if run.status.is_open), None)
        row = _row(connection, page, active, now)
        live = live_of(connection, active, context.zone) if active else None
        verification = _verification(connection, page, now, context.zone)
        days, hours, span = _charts(connection, page, now, context.zone)
    labels = {page.id: page_label(page)}
    return context.show(
        "page.html",
        here="pages",
        page=row,
        token_told=explained_token(page, may_admin=context.visitor.may_admin)
        if page.token_state is not TokenState.VALID
        else None,
        active=live,
        verification=verification,
        day_chart=days,
        heat_chart=hours,
        charts_span=span,
        runs=[run_row(run, labels, now=now) for run in runs],
        refresh_seconds=5 if active else None,
    )


def _row(connection: Connection, page: Page, active: Run | None, now: datetime) -> PageRow:
    overview = get_overview(connection, page)
    return page_row(overview, schedule=get_schedule(connection, page.id), active=active, now=now)


def _verification(connection: Connection, page: Page, now: datetime, zone: tzinfo) -> VerificationView:
    return verification_view(
        newest_verification(connection, page),
        completeness_of(connection, [page])[page.id],
        failed=list_failed_backlog(connection, page, limit=_REASONS),
        older=count_older(connection, page, messages=_NEWEST),
        now=now,
        zone=zone,
    )


def _charts(connection: Connection, page: Page, now: datetime, zone: tzinfo) -> tuple[DayBars, HeatMap, str]:
    """Both charts in the time zone of the settings, and the days they cover: the last with any message."""
    newest = list_conversations(connection, ConversationFilter(page_id=page.id), limit=1).records
    last = newest[0].last_message_time if newest else None
    is_quiet = last is not None and last < now - timedelta(days=_DAYS)
    ends = last if last is not None and is_quiet else now
    midnight = datetime.combine(ends.astimezone(zone).date(), time(), zone)
    days = {
        each.day: (each.from_contacts, each.from_page)
        for each in messages_by_day(
            connection, page.id, since=midnight - timedelta(days=_DAYS - 1), zone=zone
        )
    }
    hours = messages_by_weekday_and_hour(connection, page.id, since=midnight - _HEAT, zone=zone)
    return (
        day_bars(days, until=midnight.date(), days=_DAYS),
        heat_map({(each.weekday, each.hour): each.from_contacts for each in hours}),
        f"{_DAYS} days to {midnight:%-d %b %Y}" if is_quiet else f"last {_DAYS} days",
    )


def pause(context: RequestContext) -> Response:
    """Start no more runs automatically."""
    return _set_paused(context, is_paused=True)


def resume(context: RequestContext) -> Response:
    """Start runs automatically again."""
    return _set_paused(context, is_paused=False)


def _set_paused(context: RequestContext, *, is_paused: bool) -> Response:
    with context.service.engine.store.write() as connection:
        page = get_page(connection, context.path_param("id"))
        set_schedule(connection, page, every_seconds=None, is_paused=is_paused, now=context.now)
    return context.redirect(f"/pages/{page.id}", done="paused" if is_paused else "resumed")


def show_form(context: RequestContext) -> Response:
    """The empty form, or the form for a known Page that needs a new token."""
    return _form(context, facebook_page_id=context.param("id"), platform=context.param("platform"))


async def add(context: RequestContext) -> Response:
    """Check the token against Meta, store it encrypted, and show the Page."""
    sent = context.form
    page_id, platform = sent.get("facebook_page_id", "").strip(), sent.get("platform", "")
    try:
        page, is_new = await context.service.engine.add_page(
            _page_id(page_id),
            platform=Platform(platform) if platform in set(Platform) else Platform.MESSENGER,
            token=_token(sent.get("token", "")),
            name=sent.get("name", "").strip()[:_LONGEST_NAME] or None,
        )
    except InboxsyncError as refused:
        return await run_in_threadpool(
            _form,
            context,
            facebook_page_id=page_id,
            platform=platform,
            name=sent.get("name", ""),
            problem=explained(refused, is_form=True),
        )
    return context.redirect(f"/pages/{page.id}", done="added" if is_new else "renewed")


def _form(
    context: RequestContext,
    *,
    facebook_page_id: str,
    platform: str,
    name: str = "",
    problem: Explained | None = None,
) -> Response:
    return context.show(
        "page_new.html",
        here="pages",
        status=422 if problem else 200,
        problem=problem,
        # The form shows again what was typed, except the token.
        typed={"facebook_page_id": facebook_page_id, "platform": platform, "name": name},
        platforms=[(value.value, label) for value, label in PLATFORMS.items()],
    )


def _page_id(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise SettingsInvalid("This is not a Page id.", hint="It is a number, such as 104567890123456.")
    return text


def _token(text: str) -> str:
    token = text.strip()
    is_one = token and token.isascii() and token.isprintable() and " " not in token
    if not is_one or len(token) > _LONGEST_TOKEN:
        raise SettingsInvalid(
            "This is not an access token.", hint="Copy it whole, without quotes or line breaks."
        )
    return token
