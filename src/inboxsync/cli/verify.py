"""`inboxsync verify`."""

import sys
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
    stderr,
    stdout,
)
from inboxsync.cli.process import open_engine
from inboxsync.cli.sync import for_each_page
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, PageBusy
from inboxsync.graph import GraphClient
from inboxsync.model import Page, Verification
from inboxsync.sync import Findings, Stop, Stopped

_SHOWN_IDS = 5

log = structlog.get_logger("inboxsync.verify")

# A verification report with its findings, or why there is none.
Verdict = tuple[Verification, Findings] | InboxsyncError | Stopped


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
    def log_batch(folder: str, listed: int) -> None:
        log.info("compared", page_id=page.facebook_page_id, folder=folder, listed=listed)

    try:
        if sys.stderr.isatty():
            with stderr().status(f"Listing {page_name(page)} ...") as status:
                one = engine.page_verify(
                    source,
                    page,
                    stop=stop,
                    is_deep=is_deep,
                    on_batch=lambda folder, listed: status.update(
                        f"Listing {page_name(page)}: {listed:,} conversations of {folder} compared"
                    ),
                )
                return await one.run(wait=wait)
        one = engine.page_verify(source, page, stop=stop, is_deep=is_deep, on_batch=log_batch)
        return await one.run(wait=wait)
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


def _print_verification(console: Console, page: Page, verification: Verification, findings: Findings) -> None:
    title = ("Complete", "bold green") if verification.is_complete else ("Not complete", "bold yellow")
    console.print(
        Text(*title),
        f": {page_name(page)} ({page.platform}): Meta lists {some(findings.listed, 'conversation')}; "
        f"{findings.listed - findings.missing:,} stored as they are now.",
        sep="",
    )
    for folder in findings.folders:
        if folder.listed:
            console.print(f"  {folder.folder}: {folder.listed:,} listed")
        _print_ids(console, "not stored", folder.missing)
        _print_ids(console, "with newer messages than stored", folder.behind)
        if folder.dropped:
            console.print(f"    {some(folder.dropped, 'record')} without an id, or of unknown form")
    for count, noun, what in (
        (len(findings.missing_messages), "conversation", "without messages that the source has"),
        (findings.backlog.get("conversation", 0), "conversation", "in the backlog: could not be read"),
        (findings.backlog.get("gap", 0), "conversation", "in the backlog: a gap between stored messages"),
        (findings.backlog.get("history", 0), "conversation", "in the backlog: older messages"),
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


def _print_ids(console: Console, what: str, graph_ids: set[str]) -> None:
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
    verification, findings = verdict
    return result | {
        "is_complete": verification.is_complete,
        "checked_at": verification.checked_at,
        "listed": findings.listed,
        "missing": findings.missing,
        **msgspec.to_builtins(findings),
        "errors": [],
        "next": None if verification.is_complete else _next_command(page, findings),
    }
