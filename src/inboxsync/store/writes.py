"""Puts a batch of conversations, and the messages they bring, into the store.

Everything here is an upsert that may be repeated: the key of a conversation is
(Page, Graph's id), that of a message (conversation, Graph's id). An older answer never
overwrites a newer one, and an absent value never overwrites a present one.
"""

from collections.abc import Container, Sequence
from datetime import datetime

from sqlalchemy import Connection

from inboxsync.model import Conversation, Counts, Page
from inboxsync.store.conversation_rows import (
    StoredConversation,
    insert_conversations,
    new_id,
    stored_conversations,
    update_conversations,
)
from inboxsync.store.message_rows import known_messages, upsert_messages


def upsert_batch(
    connection: Connection,
    page: Page,
    conversations: Sequence[Conversation],
    *,
    folder: str,
    source: str,
    now: datetime,
) -> Counts:
    """Store conversations of one Page and folder in the caller's transaction.

    `source` is written on messages that are new (`initial_sync`, `incremental_sync`).
    """
    # A list that moves while it is walked may serve one conversation twice, the newer first.
    served: dict[str, Conversation] = {}
    for conversation in conversations:
        served.setdefault(conversation.conversation_id, conversation)
    stored = stored_conversations(connection, page, served)
    known = known_messages(connection, [(have.id, served[i].messages) for i, have in stored.items()])

    new = {graph_id: new_id() for graph_id in served if graph_id not in stored}
    insert_conversations(connection, page, [(new[i], served[i]) for i in new], folder=folder, now=now)
    changed = [
        (have, _with_older_known(served[graph_id], have, known.get(have.id, {})))
        for graph_id, have in stored.items()
        if not _is_older(served[graph_id], have)
    ]
    updated = update_conversations(connection, changed, folder=folder, now=now)
    ids = new | {graph_id: have.id for graph_id, have in stored.items()}
    events = upsert_messages(
        connection, [(ids[i], served[i].messages) for i in served], known, source=source, now=now
    )
    return Counts(
        fetched=len(served),
        inserted=len(new),
        updated=updated,
        unchanged=len(served) - len(new) - updated,
        events=events,
    )


def _is_older(conversation: Conversation, have: StoredConversation) -> bool:
    served_at, stored_at = conversation.source_updated_at, have.source_updated_at
    return served_at is not None and stored_at is not None and served_at < stored_at


def _with_older_known(
    conversation: Conversation, have: StoredConversation, known: Container[str]
) -> tuple[Conversation, bool]:
    """The conversation, and whether the source has older messages than will then be stored.

    Where the batch's messages meet a stored one, nothing new is known of what lies below.
    """
    meets = any(message.message_id in known for message in conversation.messages)
    return conversation, have.has_older_messages if meets else conversation.has_older_messages
