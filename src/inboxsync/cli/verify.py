"""`inboxsync verify`."""

import sys
from typing import Annotated, Any

import msgspec
import structlog
import typer
from rich.console import Console
from rich.text import Text

from inboxsync.cli.exit_codes import COMPLETE, FAILED, NEEDS_PERSON, PARTIAL, exit_code
from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import page_name, print_command, print_error, print_json, some, stderr, stdout
from inboxsync.cli.syncing import for_each_page
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, PageBusy, PageUnknown
from inboxsync.graph import GraphClient
from inboxsync.model import Page, Verification
from inboxsync.store.state.pages import find_pages, list_pages
from inboxsync.sync import Findings, Stop, Stopped

_SHOWN_IDS = 5

log = structlog.get_logger("inboxsync.verify")

# A certificate with its findings, or why there is none.
Verdict = tuple[Verification, Findings] | InboxsyncError | Stopped


def verify(
    page_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="PAGE_ID", help="Meta's id of a Page, or ours; all Pages without any."),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a Page, last on stdout.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Compare the ids of messages too.")] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Where another process is at the Page already, wait for that to end."),
    ] = False,
) -> None:
    """Prove that nothing is missing: list the source again, lightly, and compare with what is stored.

    What is missing is owed from then on, and the next sync brings it. What the source no longer
    serves is marked gone, never deleted. Exit codes: 0 nothing readable is missing; 3 something is, or
    it was not verified to the end; 4 a person must act on the token or a permission; 1 failed; 2 usage.
    """
    with open_engine() as engine:
        with engine.store.read() as connection:
            pages = find_pages(connection, page_ids) if page_ids else list_pages(connection)
        if not pages:
            raise PageUnknown(
                "No Page has been added yet.", hint="Add one with `inboxsync pages add PAGE_ID`."
            )

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
    def tell(folder: str, listed: int) -> None:
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
        one = engine.page_verify(source, page, stop=stop, is_deep=is_deep, on_batch=tell)
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
        f": {page_name(page)} ({page.platform}): the source lists {some(findings.listed, 'conversation')}; "
        f"{findings.listed - findings.missing:,} stored as they are now.",
        sep="",
    )
    for folder in findings.folders:
        if folder.listed:
            console.print(f"  {folder.folder}: {folder.listed:,} listed")
        _print_ids(console, "not stored", folder.missing)
        _print_ids(console, "with newer messages than stored", folder.behind)
    for count, noun, what in (
        (len(findings.missing_messages), "conversation", "without messages that the source has"),
        (findings.backlog.get("conversation", 0), "conversation", "owed: could not be read"),
        (findings.backlog.get("gap", 0), "conversation", "owed messages between those stored"),
        (findings.backlog.get("history", 0), "conversation", "owed older messages"),
        (len(findings.only_stored), "conversation", "stored that no list shows, though asked for it answers"),
        (len(findings.marked_gone), "conversation", "no longer served: marked gone, and kept"),
        (findings.unreadable_messages, "message", "known by id and time alone: the platform tells no more"),
        (findings.counts_differ, "conversation", "with another number of messages than Meta's estimate"),
    ):
        if count:
            console.print(f"  {some(count, noun)} {what}")
    if findings.older and findings.older.conversations:
        older = some(findings.older.conversations, "conversation")
        console.print(f"  {older} with older messages that were not asked for. To fetch them too:")
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
    told: dict[str, Any] = {"page_id": page.facebook_page_id, "platform": page.platform.value}
    if not isinstance(verdict, tuple):
        hint = verdict.hint if isinstance(verdict, InboxsyncError) else ""
        code = verdict.code if isinstance(verdict, InboxsyncError) else "stopped"
        message = verdict.message if isinstance(verdict, InboxsyncError) else verdict.reason
        return told | {
            "is_complete": False,
            "errors": [{"code": code, "message": message, "hint": hint}],
            "next": f"inboxsync verify {page.facebook_page_id}",
        }
    verification, findings = verdict
    return told | {
        "is_complete": verification.is_complete,
        "checked_at": verification.checked_at,
        "listed": findings.listed,
        "missing": findings.missing,
        **msgspec.to_builtins(findings),
        "errors": [],
        "next": None if verification.is_complete else _next_command(page, findings),
    }
