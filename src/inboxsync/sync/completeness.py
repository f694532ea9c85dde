"""Whether a Page is complete now: what its newest verification found, and what is stored since.

A verification puts what it finds into the backlog, and whatever stores it takes it out again. So the backlog
says what is still open. Where there was too much for that, the next sync reads the lists themselves: then
their watermarks say it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection

from inboxsync.model import (
    BacklogCounts,
    Completeness,
    CompletenessState,
    Following,
    ListState,
    Page,
    Unserved,
    Verification,
)
from inboxsync.store.state.backlog import count_backlogs
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import newest_verifications

# The codes of the problem that a verification run ends with: something is missing, or only new.
NOT_COMPLETE: Final = "not_complete"
NOT_SYNCED_YET: Final = "not_synced_yet"
# For more Pages than these, all are looked up at once.
_MOST_NAMED = 1000


class FolderReport(msgspec.Struct, frozen=True):
    """What a stored report says of one list; see `FolderFindings`."""

    folder: str
    listed: int = 0
    missing: frozenset[str] = frozenset()
    behind: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    dropped: int = 0
    watermark_at: datetime | None = None

    @property
    def different(self) -> int:
        """Conversations that were listed and not stored, or not as they were listed."""
        return len(self.missing) + len(self.behind)

    def is_read_since(self, state: ListState | None) -> bool:
        """Whether a sync has read the list since it was compared: then its watermark is another one."""
        if isinstance(state, Following):
            return state.watermark != self.watermark_at
        return isinstance(state, Unserved)


class Report(msgspec.Struct, frozen=True):
    """What a stored report says; see `Findings`. `is_in_backlog`: the backlog has all of it."""

    folders: tuple[FolderReport, ...] = ()
    only_stored: tuple[str, ...] = ()
    is_in_backlog: bool = True

    @property
    def listed(self) -> int:
        """Conversations that the source listed."""
        return sum(folder.listed for folder in self.folders)

    @property
    def different(self) -> int:
        """Those of them that were not stored, or not as they were listed."""
        return sum(folder.different for folder in self.folders)


_decode = msgspec.json.Decoder(Report).decode


def report_of(verification: Verification) -> Report:
    """The stored summary of a verification."""
    return _decode(verification.summary)


def completeness_of(connection: Connection, pages: Sequence[Page]) -> dict[str, Completeness]:
    """Whether each of these Pages is complete now, by our id; a few statements for any number of them."""
    ids = [page.id for page in pages] if len(pages) <= _MOST_NAMED else None
    verifications, backlogs = newest_verifications(connection, ids), count_backlogs(connection, ids)
    found = {}
    for page in pages:
        verification, backlog = verifications.get(page.id), backlogs.get(page.id, BacklogCounts())
        report = report_of(verification) if verification is not None else Report()
        states = {} if report.is_in_backlog else list_states(connection, page)
        found[page.id] = assess(verification, report, backlog, states)
    return found


def assess(
    verification: Verification | None,
    report: Report,
    backlog: BacklogCounts,
    states: Mapping[str, ListState],
) -> Completeness:
    """What a report, the backlog and the states of the lists say together. Pure.

    `states` counts only where the backlog does not have everything that was found.
    """
    new, missing = backlog.new, backlog.missing
    if not report.is_in_backlog:
        unread = [each for each in report.folders if not each.is_read_since(states.get(each.folder))]
        missing += sum(len(folder.lost) for folder in unread)
        new += sum(folder.different - len(folder.lost) for folder in unread)
    found = Completeness(
        state=CompletenessState.UNVERIFIED,
        checked_at=verification.checked_at if verification else None,
        new=new,
        missing=missing,
        refused=backlog.refused,
        gaps=backlog.gaps,
        history=backlog.history,
        unknown=sum(folder.dropped for folder in report.folders),
        is_blind=not report.listed and bool(report.only_stored),
    )
    if verification is None:
        return found
    return replace(found, state=_state(found, was_complete=verification.is_complete))


def _state(found: Completeness, *, was_complete: bool) -> CompletenessState:
    lacks = found.missing or found.refused or found.gaps or found.history or found.unknown or found.is_blind
    if lacks:
        return CompletenessState.INCOMPLETE
    # What has come since the check began is no fault of what was stored.
    return CompletenessState.NEW if found.new and not was_complete else CompletenessState.COMPLETE


def describe_completeness(found: Completeness) -> list[str]:
    """What is open, a sentence for each; empty where nothing is."""
    since = "the last sync" if found.state is CompletenessState.NEW else "the check"
    counts = (
        (found.new, f"new or with new messages since {since}. The next sync brings {{them}}."),
        (found.missing, "that Meta lists {were} not stored. The next sync fetches {them}."),
        (found.refused, "could not be read. {They} {are} tried again."),
        (found.gaps, "with messages missing between stored ones. The next sync fetches them."),
        (found.history, "not read to the beginning yet. The next sync continues."),
    )
    lines = [_line(count, words) for count, words in counts if count]
    if found.unknown:
        lines.append(
            f"{found.unknown:,} {'entry' if found.unknown == 1 else 'entries'} of Meta's lists without an id "
            "or of an unknown form: nobody can say whether they are stored."
        )
    if found.is_blind:
        lines.append("Meta listed no conversation at all: the app may have lost its access.")
    return lines


def _line(count: int, words: str) -> str:
    is_one = count == 1
    forms = {
        "them": "it" if is_one else "them",
        "were": "was" if is_one else "were",
        "They": "It" if is_one else "They",
        "are": "is" if is_one else "are",
    }
    return f"{count:,} conversation{'' if is_one else 's'} {words.format(**forms)}"
