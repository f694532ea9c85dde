"""How a run ended, in the words its user reads. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from inboxsync.errors import (
    InboxsyncError,
    NeedsPerson,
    PageUnknown,
    SourceUnreachable,
    StoreFull,
    StoreUnreachable,
)
from inboxsync.graph import Waiting
from inboxsync.model import BacklogItem, BacklogKind, Page, Platform, Problem, Run, RunStatus, TokenState
from inboxsync.store.state.backlog import Older

_TOKEN_WARNING = timedelta(days=7)
# What goes by, or what somebody mends without a word to us.
_PASSING = (SourceUnreachable, StoreUnreachable, StoreFull)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What a run leaves open.

    `owed` counts the ledger by phase, `examples` are a few of it with what they met. `older` is what
    is not stored because only the newest messages of each conversation were asked for. `is_empty`:
    nothing at all is stored of the Page.
    """

    backlog: Mapping[BacklogKind, int] = field(default_factory=dict)
    examples: tuple[BacklogItem, ...] = ()
    older: Older | None = None
    is_empty: bool = False

    @property
    def count(self) -> int:
        """How many things are owed."""
        return sum(self.backlog.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A run that was laid down and goes on by itself.

    Not `until` then. `has_failed`: something that passes cut it short. `wants_history`: nothing but older
    messages is left to read.
    """

    reason: str
    until: datetime | None = None
    has_failed: bool = False
    wants_history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that has ended.

    `reason` completes "stopped: ..." where it was stopped early. `waiting` is set where Meta held it
    back to the end, `rest` where it has not ended: a worker goes on with it.
    """

    page: Page
    run: Run
    unfinished: Unfinished
    reason: str | None = None
    waiting: Waiting | None = None
    suspension: Suspension | None = None


def conclude(
    run: Run,
    page: Page,
    *,
    error: InboxsyncError | None,
    stopped: bool,
    unfinished: Unfinished,
    cancelled: bool = False,
) -> Run:
    """`run` with its status, what went wrong, and the command that goes on.

    Partial where it was stopped, where something is owed, or where the source or the database could not
    be reached, or its disk was full, after something had been stored: the next run goes on from there.
    Failed where it would fail again. Cancelled where somebody asked for its end, whatever else came.
    """
    problems = list(run.problems)
    if error is not None:
        hint = spelled_out(error.hint, page)
        problems.append(Problem(code=error.code, message=error.message, hint=hint))
    if unfinished.count:
        problems.append(_backlog_problem(unfinished))
    if unfinished.is_empty and not stopped:
        problems.append(_nothing_listed(page))
    if (ending := _token_ends(page, run.finished_at or run.started_at)) is not None:
        problems.append(ending)
    is_whole = error is None and not stopped and not unfinished.count
    may_go_on = error is None or (passes(error) and run.batches > 0)
    status = RunStatus.COMPLETE if is_whole else RunStatus.PARTIAL if may_go_on else RunStatus.FAILED
    if cancelled:
        status = RunStatus.CANCELLED
    return replace(
        run, status=status, problems=tuple(problems), next=None if is_whole else _next_command(page, error)
    )


def passes(error: InboxsyncError) -> bool:
    """Whether the same would succeed later, without anybody doing anything about it here."""
    return isinstance(error, _PASSING)


def spelled_out(hint: str, page: Page) -> str:
    """A hint with the commands for this very Page, so that they can be copied."""
    return hint.replace("inboxsync pages add PAGE_ID", _add_command(page)).replace(
        "PAGE_ID", page.facebook_page_id
    )


def _next_command(page: Page, error: InboxsyncError | None) -> str | None:
    if isinstance(error, PageUnknown):
        return None  # removed meanwhile: there is nothing to go on with
    return _add_command(page) if isinstance(error, NeedsPerson) else f"inboxsync sync {page.facebook_page_id}"


def _add_command(page: Page) -> str:
    platform = f" --platform {page.platform}" if page.platform is not Platform.MESSENGER else ""
    return f"inboxsync pages add {page.facebook_page_id}{platform}"


def _backlog_problem(unfinished: Unfinished) -> Problem:
    said = {
        BacklogKind.CONVERSATION: "could not be read",
        BacklogKind.GAP: "lack messages between those stored",
        BacklogKind.HISTORY: "could not be read to the beginning",
    }
    counts = ", ".join(f"{count:,} {said[phase]}" for phase, count in unfinished.backlog.items() if count)
    shown = "; ".join(
        f"{item.conversation_id}: {item.problem.message}" for item in unfinished.examples if item.problem
    )
    total = unfinished.count
    return Problem(
        code="backlog_open",
        message=f"{total:,} {'conversation is' if total == 1 else 'conversations are'} owed: {counts}."
        + (f" {shown}" if shown else ""),
        hint="Everything else is stored, and the next run tries again.",
    )


def _token_ends(page: Page, now: datetime) -> Problem | None:
    """A warning in time: who hears of it only when it has happened has lost a week."""
    ends_at = page.token_expires_at
    if (
        ends_at is None
        or page.token_state is not TokenState.VALID
        or not now < ends_at < now + _TOKEN_WARNING
    ):
        return None
    return Problem(
        code="token_ends_soon",
        message=f"The token of Page {page.facebook_page_id} ends on {ends_at:%Y-%m-%d %H:%M} UTC.",
        hint=f"Get a new one in time and hand it over with `{_add_command(page)}`.",
    )


def _nothing_listed(page: Page) -> Problem:
    """What looks like success and may not be (graph-facts 5-15): an empty inbox under Standard Access."""
    permission = "instagram_manage_messages" if page.platform is Platform.INSTAGRAM else "pages_messaging"
    return Problem(
        code="nothing_listed",
        message="The source listed no conversation at all.",
        hint="If the Page has some, the app has only Standard Access: request Advanced Access for "
        f"{permission}. Nothing counts as synced until something is listed.",
    )
