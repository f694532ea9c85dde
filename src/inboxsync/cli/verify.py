"""`inboxsync verify`."""

import asyncio
import sys
from collections.abc import Collection
from typing import Annotated, Any

import msgspec
import structlog
import typer
from rich.console import Console
from rich.text import Text

from inboxsync.cli.options import AsJsonPerPage, PageIds, Wait, pages_named
from inboxsync.cli.output import (
    COMPLETE,
    FAILED,
    NEEDS_PERSON,
    PARTIAL,
    exit_code,
    page_name,
    print_command,
    print_error,
    print_json,
    some,
    stdout,
)
from inboxsync.cli.process import open_engine
from inboxsync.cli.progress import comparing
from inboxsync.cli.sync import for_each_page
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, PageBusy
from inboxsync.graph import GraphClient
from inboxsync.model import Completeness, CompletenessState, Page, Verification
from inboxsync.sync import Compared, Findings, Stop, Stopped, completeness_of, describe_completeness

_SHOWN_IDS = 5

log = structlog.get_logger("inboxsync.verify")

# A verification report with its findings and what follows, or why there is none.
Verdict = tuple[Verification, Findings, Completeness] | InboxsyncError | Stopped
_TITLES = {
    CompletenessState.COMPLETE: ("Complete", "bold green"),
    CompletenessState.NEW: ("New since the last sync", "bold yellow"),
    CompletenessState.INCOMPLETE: ("Not complete", "bold yellow"),
}


def verify(
    page_ids: PageIds = None,
    *,
    as_json: AsJsonPerPage = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also compare the ids of messages.")] = False,
    wait: Wait = False,
) -> None:
    """Prove that nothing is missing: list all conversations at Meta and compare them with what is stored.

    What is missing goes to the backlog, and the next sync fetches it. What Meta no longer has is
    marked gone, never deleted. Exit codes: 0 nothing readable is missing; 3 something is missing, or
    the verification did not finish; 4 a person must act on the token or a permission; 1 failed; 2 usage.
    """
    with open_engine() as engine:
        pages = pages_named(engine, page_ids)

        async def work(source: GraphClient, stop: Stop, page: Page) -> Verdict:
            return await _verify_page(engine, source, stop, page, is_deep=deep, wait=wait)

        verdicts = for_each_page(engine, pages, work)
    for page, verdict in zip(pages, verdicts, strict=True):
        _show(page, verdict, as_json=as_json)
    codes = [_exit_code(verdict) for verdict in verdicts]
    raise typer.Exit(max(codes, key=[COMPLETE, PARTIAL, FAILED, NEEDS_PERSON].index))


async def _verify_page(
    engine: Engine, source: GraphClient, stop: Stop, page: Page, *, is_deep: bool, wait: bool
) -> Verdict:
    def log_batch(compared: Compared) -> None:
        log.info(
            "compared",
            page_id=page.facebook_page_id,
            folder=compared.folder,
            listed=compared.listed,
            differences=compared.differences,
        )

    def complete_now() -> Completeness:
        with engine.store.read() as connection:
            return completeness_of(connection, [page])[page.id]

    try:
        if sys.stderr.isatty():
            with comparing(page_name(page)) as (on_batch, listener):
                one = engine.page_verify(
                    source, page, stop=stop, is_deep=is_deep, on_batch=on_batch, listener=listener
                )
                report, findings = await one.run(wait=wait)
        else:
            one = engine.page_verify(source, page, stop=stop, is_deep=is_deep, on_batch=log_batch)
            report, findings = await one.run(wait=wait)
        return report, findings, await asyncio.to_thread(complete_now)
    except (InboxsyncError, Stopped) as failure:
        return failure


def _exit_code(verdict: Verdict) -> int:
    if isinstance(verdict, tuple):
        return COMPLETE if verdict[0].is_complete else PARTIAL
    if isinstance(verdict, Stopped | PageBusy):
        return PARTIAL
    return NEEDS_PERSON if exit_code(verdict) == NEEDS_PERSON else FAILED


def _show(page: Page, verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(page, verdict))
    elif isinstance(verdict, InboxsyncError):
        print_error(verdict)
    elif isinstance(verdict, Stopped):
        stdout().print(f"Not verified: {page_name(page)}: stopped: {verdict.reason}.")
    else:
        _print_verification(stdout(), page, *verdict)


def _print_verification(
    console: Console, page: Page, verification: Verification, findings: Findings, complete: Completeness
) -> None:
    console.print(
        Text(*_TITLES[complete.state]),
        f": {page_name(page)} ({page.platform}): Meta lists {some(findings.listed, 'conversation')}; "
        f"{findings.listed - findings.missing:,} stored as they are now.",
        sep="",
    )
    for folder in findings.folders:
        if folder.listed:
            console.print(f"  {folder.folder}: {folder.listed:,} listed")
        _print_ids(console, "missing", folder.lost.difference(findings.refused))
    for line in describe_completeness(complete):
        console.print(f"  {line}")
    _print_refused(console, findings)
    for count, noun, what in (
        (len(findings.missing_messages), "conversation", "without messages that the source has"),
        (len(findings.only_stored), "conversation", "stored that is in no list, although Meta still has it"),
        (len(findings.marked_gone), "conversation", "no longer at Meta: marked gone, and kept"),
        (findings.unreadable_messages, "message", "known only by id and time: the platform gives no more"),
        (findings.counts_differ, "conversation", "with another number of messages than Meta's estimate"),
    ):
        if count:
            console.print(f"  {some(count, noun)} {what}")
    if findings.older and findings.older.conversations:
        older = some(findings.older.conversations, "conversation")
        console.print(f"  {older} with older messages that were not fetched. To fetch them too:")
        print_command(console, f"inboxsync sync {page.facebook_page_id} --history all")
    if not verification.is_complete:
        print_command(console, f"Next: {_next_command(page, findings)}")


def _print_refused(console: Console, findings: Findings) -> None:
    """Why Meta refuses conversations, for a few of them."""
    for graph_id, problem in list(findings.refused.items())[:_SHOWN_IDS]:
        console.print(f"    {graph_id}: {problem.message}")
    if len(findings.refused) > _SHOWN_IDS:
        console.print(f"    and {len(findings.refused) - _SHOWN_IDS:,} more")


def _print_ids(console: Console, what: str, graph_ids: Collection[str]) -> None:
    if graph_ids:
        shown = ", ".join(sorted(graph_ids)[:_SHOWN_IDS])
        more = ", ..." if len(graph_ids) > _SHOWN_IDS else ""
        console.print(f"    {len(graph_ids):,} {what}: {shown}{more}")


def _next_command(page: Page, findings: Findings) -> str:
    full = " --mode full" if findings.needs_full_sync else ""
    return f"inboxsync sync {page.facebook_page_id}{full}"


def _as_json(page: Page, verdict: Verdict) -> dict[str, Any]:
    result: dict[str, Any] = {"page_id": page.facebook_page_id, "platform": page.platform.value}
    if not isinstance(verdict, tuple):
        hint = verdict.hint if isinstance(verdict, InboxsyncError) else ""
        code = verdict.code if isinstance(verdict, InboxsyncError) else "stopped"
        message = verdict.message if isinstance(verdict, InboxsyncError) else verdict.reason
        return result | {
            "is_complete": False,
            "errors": [{"code": code, "message": message, "hint": hint}],
            "next": f"inboxsync verify {page.facebook_page_id}",
        }
    verification, findings, complete = verdict
    return result | {
        "is_complete": verification.is_complete,
        "state": complete.state.value,
        "new": complete.new,
        "checked_at": verification.checked_at,
        "listed": findings.listed,
        "missing": findings.missing,
        **msgspec.to_builtins(findings),
        "errors": [],
        "next": None if verification.is_complete else _next_command(page, findings),
    }
