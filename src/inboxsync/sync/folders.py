"""Tells a folder's list from the inbox served in its place.

A source ignores parameters that it does not know, and `folder` may be one of them (graph-facts
1.3-4): then every folder is the inbox once more.
"""

from inboxsync.model import Batch
from inboxsync.sync.context import Reading

_COMPARED = 25


class FolderIgnored(Exception):
    """The source served the inbox under the name of another folder."""


async def refuse_inbox(context: Reading, batch: Batch) -> None:
    """Ask the inbox for its newest and raise FolderIgnored where most of a folder's newest are those."""
    newest = {each.conversation_id for each in batch.conversations[:_COMPARED]}
    inbox = await context.source.fetch_conversation_times(context.access, after=None, limit=_COMPARED)
    shared = newest.intersection(each.conversation_id for each in inbox.conversations)
    if len(shared) * 2 > len(newest):
        raise FolderIgnored
