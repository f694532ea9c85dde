"""Compares what the source lists with what is stored, a batch at a time.

Reads the store and decides nothing. A million conversations fit: of each one that agrees only a
number is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from inboxsync.model import Batch, Conversation, History, Page, Problem
from inboxsync.store import Store
from inboxsync.store.reading.summaries import StoredSummary, iter_conversation_ids, message_ids, summaries_of
from inboxsync.store.state.backlog import Older


@dataclass(slots=True, kw_only=True)
class FolderFindings:
    """What the comparison of one list found, as Graph's ids.

    `missing` are listed and not stored, `behind` are stored as they were before their last message,
    `unread` fail every answer with more of them than their id. Of the first two, `lost` are older than the
    last sync: no later sync reads them again. `came_since` were listed as they are only after the first look
    at the list: no sync could have read them. `dropped` counts what was listed and is no record, such as an
    entry without an id: nobody can say whether it is stored. `watermark_at` is the list's watermark at the
    time.
    """

    folder: str
    listed: int = 0
    missing: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    came_since: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    dropped: int = 0
    watermark_at: datetime | None = None

    @property
    def different(self) -> int:
        """Conversations that are listed and not stored, or not as they are now."""
        return len(self.missing) + len(self.behind)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The store beside the source, for one Page. `is_deep` compares the ids of messages too.

    `synced_to` is up to when each list is synced, `watermarks` are those of the lists that follow the source.
    `counts_differ`: conversations stored whole with another number of messages than Meta estimates.
    `returned` were marked gone and are listed. `older` is what was not asked for, by that estimate.
    `problems`: why conversations cannot be read.
    """

    store: Store
    page: Page
    is_deep: bool
    synced_to: Mapping[str, datetime | None] = field(default_factory=dict)
    watermarks: Mapping[str, datetime] = field(default_factory=dict)
    folders: dict[str, FolderFindings] = field(default_factory=dict)
    missing_messages: dict[str, int] = field(default_factory=dict)
    counts_differ: int = 0
    returned: set[str] = field(default_factory=set)
    older: Older = field(default_factory=lambda: Older(conversations=0, messages=0))
    problems: dict[str, Problem] = field(default_factory=dict)
    # The newest time in the first answer of each list.
    _tops: dict[str, datetime | None] = field(default_factory=dict)
    _listed: set[int] = field(default_factory=set)
    _to_read: dict[str, str] = field(default_factory=dict)

    def of(self, folder: str) -> FolderFindings:
        """What has been found of a list so far."""
        made = FolderFindings(folder=folder, watermark_at=self.watermarks.get(folder))
        return self.folders.setdefault(folder, made)

    def add(self, folder: str, batch: Batch) -> None:
        """Compare one answer. Blocks; call it from a thread."""
        findings = self.of(folder)
        self._tops.setdefault(folder, batch.newest_at)
        ids = [each.conversation_id for each in batch.conversations]
        with self.store.read() as connection:
            stored = summaries_of(connection, self.page, ids)
        for each in batch.conversations:
            known = _key(each.conversation_id)
            is_first = known not in self._listed
            findings.listed += is_first
            self._listed.add(known)
            self._compare(findings, each.whole(), stored.get(each.conversation_id), is_first=is_first)
        findings.dropped += len(batch.dropped)
        findings.unread.update(each.conversation_id for each in batch.unread)
        self.problems |= {each.conversation_id: each.problem for each in batch.unread}
        self._listed.update(_key(each.conversation_id) for each in batch.unread)

    def has_listed(self, graph_ids: Iterable[str]) -> bool:
        """Whether another list had most of these."""
        listed = [_key(graph_id) in self._listed for graph_id in graph_ids]
        return sum(listed) * 2 > len(listed)

    def lists(self, graph_id: str) -> bool:
        """Whether any list has this conversation."""
        return _key(graph_id) in self._listed

    def to_read(self) -> Sequence[tuple[str, str]]:
        """Conversations (Graph's id, folder) of which one answer did not bring enough messages."""
        return tuple(self._to_read.items())

    def compare_messages(self, conversation_id: str, served: Sequence[str], *, is_whole: bool) -> bool:
        """Compare ids of messages, newest first; False where more of them must be read first.

        Unless all history is wanted, what lies below the oldest stored one was not asked for.
        """
        with self.store.read() as connection:
            have = message_ids(connection, self.page, conversation_id)
            stored = summaries_of(connection, self.page, [conversation_id]).get(conversation_id)
        if stored is None:
            return True  # deleted from the store meanwhile
        known, wants_all = set(have), self.page.history is History.ALL or not stored.has_older_messages
        if not is_whole and (wants_all or not known.issubset(served)):
            return False
        places = [place for place, message_id in enumerate(served) if message_id in known]
        wanted = served if wants_all else served[: max(places, default=-1) + 1]
        lacking = sum(message_id not in known for message_id in wanted)
        if lacking:
            self.missing_messages[conversation_id] = lacking
        return True

    def only_stored(self) -> list[str]:
        """Conversations that are stored as active and that no list has. Blocks."""
        with self.store.read() as connection:
            return [
                graph_id
                for graph_id in iter_conversation_ids(connection, self.page)
                if not self.lists(graph_id)
            ]

    def _compare(
        self, findings: FolderFindings, served: Conversation, stored: StoredSummary | None, *, is_first: bool
    ) -> None:
        graph_id = served.conversation_id
        if stored is None:
            self._add_different(findings, findings.missing, served, is_first=is_first)
            return
        if stored.is_gone:
            self.returned.add(graph_id)
        served_at, stored_at = served.source_updated_at, stored.source_updated_at
        if served_at is not None and (stored_at is None or stored_at < served_at):
            self._add_different(findings, findings.behind, served, is_first=is_first)
            return
        if is_first:
            self._compare_counts(served, stored)
        if not self.is_deep:
            return
        ids = [message.message_id for message in served.messages]
        if not self.compare_messages(graph_id, ids, is_whole=not served.has_older_messages):
            self._to_read[graph_id] = findings.folder

    def _add_different(
        self, findings: FolderFindings, found: set[str], served: Conversation, *, is_first: bool
    ) -> None:
        graph_id = served.conversation_id
        is_known = graph_id in found  # it was found before, and has moved since
        found.add(graph_id)
        if is_first and self._is_lost(findings.folder, served):
            findings.lost.add(graph_id)
        if not is_known and self._came_since(findings.folder, served):
            findings.came_since.add(graph_id)

    def _is_lost(self, folder: str, served: Conversation) -> bool:
        synced_to = self.synced_to.get(folder)
        return synced_to is not None and (served.source_updated_at or synced_to) <= synced_to

    def _came_since(self, folder: str, served: Conversation) -> bool:
        """Whether it had not moved to where it is when the list was first looked at."""
        at, top = served.source_updated_at, self._tops.get(folder)
        return at is not None and (top is None or at > top)

    def differences(self) -> int:
        """How many conversations differ so far, in all lists."""
        return sum(each.different + len(each.unread) for each in self.folders.values())

    def _compare_counts(self, served: Conversation, stored: StoredSummary) -> None:
        if stored.has_older_messages:
            beyond = max(0, (served.message_count or 0) - stored.stored_messages)
            self.older = Older(
                conversations=self.older.conversations + 1, messages=self.older.messages + beyond
            )
        elif served.message_count is not None:
            self.counts_differ += served.message_count != stored.stored_messages


def _key(conversation_id: str) -> int:
    """64 bits instead of the text: two of a million conversations agree once in 37 million times."""
    return int.from_bytes(blake2b(conversation_id.encode(), digest_size=8).digest(), "big")
