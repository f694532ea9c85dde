"""How a run ended: its status, what is unfinished, and the problems in its user's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from inboxsync.errors import (
    InboxsyncError,
    NeedsPerson,
    PageUnknown,
    SourceRefused,
    SourceUnreachable,
    StoreFull,
    StoreReplaced,
    StoreUnreachable,
    TokenInvalid,
    TokenUndecryptable,
    Unexpected,
)
from inboxsync.graph import Waiting
from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Page,
    Platform,
    Problem,
    Run,
    RunStatus,
    TokenReason,
    TokenState,
)
from inboxsync.store.state.backlog import Older, count_backlog, count_older, list_failed_backlog
from inboxsync.store.state.list_positions import forget_list_states
from inboxsync.store.state.pages import has_conversations, set_last_synced_at, set_token_state
from inboxsync.store.state.runs import append_run_events, update_run
from inboxsync.sync.events import end_event
from inboxsync.sync.stop import EnoughFetched, Stopped

_TOKEN_WARNING = timedelta(days=7)
# What passes, or what someone fixes elsewhere without telling inboxsync.
_TEMPORARY = (SourceUnreachable, StoreUnreachable, StoreFull)
# The next run would end in the same way, until a person does something.
_LASTING = (NeedsPerson, PageUnknown, SourceRefused, StoreReplaced, Unexpected)
_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEnd:
    """How the work of a run came to its end: by itself, by an error, stopped, or cancelled with a reason.

    `waiting` is set where Meta allowed no calls at that time.
    """

    error: InboxsyncError | None = None
    stopped: Stopped | None = None
    cancelled: str | None = None
    waiting: Waiting | None = None

    @property
    def reason(self) -> str | None:
        """Completes "stopped: ..." where the run was stopped early."""
        if self.cancelled is not None:
            return self.cancelled
        return self.stopped.reason if self.stopped is not None else None

    @property
    def is_early(self) -> bool:
        """Whether the run ended before its work was done."""
        return self.error is not None or self.reason is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """What is missing when a run has ended.

    `backlog` counts its items by kind, `examples` are a few of those that failed. `older` is what
    is not stored because only the newest messages of each conversation were asked for. `is_empty`:
    nothing at all is stored of the Page.
    """

    backlog: Mapping[BacklogKind, int] = field(default_factory=dict)
    examples: tuple[BacklogItem, ...] = ()
    older: Older | None = None
    is_empty: bool = False

    @property
    def count(self) -> int:
        """How many items the backlog has."""
        return sum(self.backlog.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Why a run is suspended; a worker continues it, not before `until`.

    `has_failed`: a temporary failure stopped it. `wants_history`: only older messages are left to read.
    """

    reason: str
    until: datetime | None = None
    has_failed: bool = False
    wants_history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that has ended, or is suspended.

    `reason` completes "stopped: ..." where it was stopped early. `waiting` is set where Meta allowed no calls
    at its end, `suspension` where a worker continues it.
    """

    page: Page
    run: Run
    unfinished: Unfinished
    reason: str | None = None
    waiting: Waiting | None = None
    suspension: Suspension | None = None


def plan_suspension(
    work: WorkEnd, *, is_pause: bool, may_fetch_more: bool, on_failure: bool
) -> Suspension | None:
    """Why a worker suspends a run after such an end of its work; None: the run has ended. Pure."""
    if work.error is not None:
        if on_failure and is_temporary(work.error):
            return Suspension(reason=work.error.message, has_failed=True)
    elif isinstance(work.stopped, EnoughFetched):
        if may_fetch_more:
            return Suspension(reason="the newest are stored")
    elif work.stopped is not None and is_pause:
        until = work.waiting.until if work.waiting else None
        return Suspension(reason=work.stopped.reason, until=until)
    return None


def write_end(
    connection: Connection,
    run: Run,
    page: Page,
    work: WorkEnd,
    *,
    messages: int,
    is_ours: bool,
    now: datetime,
) -> tuple[Run, Unfinished]:
    """Write how a run ended; returns it as it ended, with what is unfinished.

    `messages` were asked for of each conversation. Where the lease is not `is_ours` any more, nothing is
    written of the Page.
    """
    unfinished = Unfinished(
        backlog=count_backlog(connection, page),
        examples=tuple(list_failed_backlog(connection, page, limit=_EXAMPLES)),
        older=count_older(connection, page, messages=messages),
        is_empty=not has_conversations(connection, page),
    )
    if is_ours and unfinished.is_empty and not work.is_early:
        # The app may be allowed to see more tomorrow: then everything is read from the beginning.
        forget_list_states(connection, page)
        set_last_synced_at(connection, page, None, now=now)
    ended = conclude(run, page, work, unfinished)
    update_run(connection, ended)
    append_run_events(connection, run.id, [(now, *end_event(ended, reason=work.reason))])
    if is_ours:
        _note_token(connection, page, work.error, run=ended, now=now)
    return ended, unfinished


def conclude(run: Run, page: Page, work: WorkEnd, unfinished: Unfinished) -> Run:
    """`run` with its status, its problems, and the command that continues it. Pure.

    Partial where it was stopped, where the backlog has items, or where an error ended it after something had
    been stored and no person is needed: the next run continues from there. Failed where it would fail again.
    Cancelled where someone asked for its end, whatever else happened.
    """
    error = work.error
    problems = list(run.problems)
    if error is not None:
        hint = with_page_id(error.hint, page)
        problems.append(Problem(code=error.code, message=error.message, hint=hint))
    if unfinished.count:
        problems.append(_backlog_problem(unfinished))
    if unfinished.is_empty and not work.is_early:
        problems.append(_nothing_listed(page))
    if (ending := _token_ends(page, run.finished_at or run.started_at)) is not None:
        problems.append(ending)
    is_whole = not work.is_early and not unfinished.count
    can_continue = error is None or (run.batches > 0 and not isinstance(error, _LASTING))
    status = RunStatus.COMPLETE if is_whole else RunStatus.PARTIAL if can_continue else RunStatus.FAILED
    if work.cancelled is not None:
        status = RunStatus.CANCELLED
    return replace(
        run, status=status, problems=tuple(problems), next=None if is_whole else _next_command(page, error)
    )


def is_temporary(error: InboxsyncError) -> bool:
    """Whether the same may succeed later, without any change to inboxsync or its settings."""
    return isinstance(error, _TEMPORARY)


def with_page_id(hint: str, page: Page) -> str:
    """A hint with the commands for this very Page, so that they can be copied."""
    return hint.replace("inboxsync pages add PAGE_ID", _add_command(page)).replace(
        "PAGE_ID", page.facebook_page_id
    )


def _note_token(
    connection: Connection, page: Page, error: InboxsyncError | None, *, run: Run, now: datetime
) -> None:
    """Mark the Page where a person must act, and unmark it where the token has worked."""
    if isinstance(error, NeedsPerson) and not isinstance(error, TokenUndecryptable):
        state = TokenState.INVALID if isinstance(error, TokenInvalid) else TokenState.NOT_PERMITTED
        reason = TokenReason(error.reason) if error.reason else TokenReason.OTHER
        problem = f"{error.message} {with_page_id(error.hint, page)}"
        set_token_state(connection, page, state, reason=reason, problem=problem, now=now)
    elif run.batches and page.token_state is not TokenState.VALID:
        set_token_state(connection, page, TokenState.VALID, reason=None, problem=None, now=now)


def _next_command(page: Page, error: InboxsyncError | None) -> str | None:
    if isinstance(error, PageUnknown):
        return None  # removed meanwhile: there is nothing to continue
    return _add_command(page) if isinstance(error, NeedsPerson) else f"inboxsync sync {page.facebook_page_id}"


def _add_command(page: Page) -> str:
    platform = f" --platform {page.platform}" if page.platform is not Platform.MESSENGER else ""
    return f"inboxsync pages add {page.facebook_page_id}{platform}"


def _backlog_problem(unfinished: Unfinished) -> Problem:
    what = {
        BacklogKind.CONVERSATION: "could not be read",
        BacklogKind.GAP: "lack messages between those stored",
        BacklogKind.HISTORY: "could not be read to the beginning",
    }
    counts = ", ".join(f"{count:,} {what[kind]}" for kind, count in unfinished.backlog.items() if count)
    examples = "; ".join(
        f"{item.conversation_id}: {item.problem.message}" for item in unfinished.examples if item.problem
    )
    total = unfinished.count
    return Problem(
        code="backlog_open",
        message=f"{total:,} conversation{' is' if total == 1 else 's are'} in the backlog: {counts}."
        + (f" {examples}" if examples else ""),
        hint="Everything else is stored, and the next run tries again.",
    )


def _token_ends(page: Page, now: datetime) -> Problem | None:
    """A warning in time: without it, the first sign would be a sync that fails."""
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
        hint=f"Get a new one in time and add it with `{_add_command(page)}`.",
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
