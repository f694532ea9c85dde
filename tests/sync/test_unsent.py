"""Unsent and edited messages, where a source tells of them with the message."""

import pytest

from inboxsync.graph import requests
from inboxsync.model import Platform
from tests.sync.fixtures import Ready, Stored, Sync

SANDBOX = {"conversations": 5, "messages": (3, 3)}
STORED = (
    "SELECT is_deleted, edited_at IS NOT NULL, text FROM messages m "
    "JOIN messenger_conversations c ON c.id = m.conversation_id WHERE message_id = '{}'"
)


@pytest.mark.parametrize("platform", [Platform.MESSENGER, Platform.INSTAGRAM])
def test_what_was_unsent_and_edited_is_noted(
    ready: Ready, sync: Sync, stored: Stored, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (*requests._MESSAGE_ON[platform], "is_deleted", "edited_time")
    monkeypatch.setitem(requests._MESSAGE_ON, platform, asked)
    served, engine = ready(platform=platform)
    mailbox = served.page.instagram if platform is Platform.INSTAGRAM else served.page.messenger
    mailbox.write(2, "take this back")
    mailbox.write(2, "a typo")
    sync(engine)
    newest = "SELECT message_id, text FROM messages WHERE text IN ('take this back', 'a typo') ORDER BY text"
    (typo, _), (unsent, _) = stored(engine, newest)
    assert stored(engine, STORED.format(unsent)) == [(None, 0, "take this back")]
    mailbox.unsend(2, 3, leaves_mark=True)
    mailbox.edit(2, 4, "no typo")
    run = sync(engine)
    assert run.counts.events == 0
    assert stored(engine, STORED.format(unsent)) == [(1, 0, "take this back")]
    assert stored(engine, STORED.format(typo)) == [(None, 1, "no typo")]
    assert sync(engine).counts.updated == 0
