"""What the derive pass stores, what a stream says before it, and what the messages tell are the same."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from inboxsync.clock import SystemClock
from inboxsync.model import Message, Page, exchange_of
from inboxsync.store import Store
from inboxsync.store.derived import is_current
from inboxsync.store.reading import (
    ContactRecord,
    ConversationRecord,
    Quarter,
    Scope,
    count_contacts,
    get_contact,
    get_conversation,
    iter_contacts,
    iter_conversations,
    iter_quarters,
    iter_sent,
)
from inboxsync.sync import Derive
from tests.fixtures import examples
from tests.reports.fixtures import Inbox

# Who wrote in each minute: the contact, the Page, both, something that nobody can read, or nobody.
scripts = st.lists(st.text("cpbu.", max_size=8), min_size=1, max_size=4)
Write = Callable[[list[str], bool, bool], None]


@pytest.fixture
def write(store: Store, inbox: Inbox, page: Page) -> Write:
    def conversations(told: list[str], gone: bool, older: bool) -> None:
        with store.write() as connection:
            connection.exec_driver_sql("DELETE FROM messenger_conversations")
        for number, script in enumerate(told):
            messages: list[Message] = []
            for minute, who in enumerate(script):
                messages += [inbox.said(minute)] * (who in "cb") + [inbox.answered(minute)] * (who in "pb")
                messages += [inbox.said(minute, None, message_id=f"u{minute}", is_readable=False)] * (
                    who == "u"
                )
            # Two conversations of each contact.
            contact = f"{number // 2}"
            inbox.put(
                page,
                inbox.conversation(
                    contact, *messages, conversation_id=f"t_{number}", has_older_messages=older
                ),
            )
        with store.write() as connection:
            if gone:
                connection.exec_driver_sql(
                    "UPDATE messenger_conversations SET conversation_status = 'gone' "
                    "WHERE conversation_id = 't_0'"
                )

    return conversations


def streamed(
    connection: Connection, scope: Scope
) -> tuple[list[ConversationRecord], list[ContactRecord], list[Quarter]]:
    return (
        list(iter_conversations(connection, scope)),
        list(iter_contacts(connection, scope)),
        sorted(iter_quarters(connection, scope)),
    )


@settings(max_examples=examples(15))
@given(told=scripts, gone=st.booleans(), older=st.booleans())
def test_who_waits_and_since_when(
    store: Store, page: Page, write: Write, told: list[str], gone: bool, older: bool
) -> None:
    write(told, gone, older)
    scope = Scope(pages=(page,))
    with store.read() as connection:
        assert not is_current(connection)
        before = streamed(connection, scope)
        assert count_contacts(connection, scope) == len(before[1]) == (len(told) + 1) // 2
    Derive(store=store, clock=SystemClock()).run()
    with store.read() as connection:
        assert is_current(connection)
        assert streamed(connection, scope) == before
        assert count_contacts(connection, scope) == len(before[1])
        conversations, contacts, _ = before
        assert [get_conversation(connection, each.id) for each in conversations] == conversations
        assert [get_contact(connection, page.id, each.sender_id) for each in contacts] == contacts
        sent = {record.id: list(each) for record, each in iter_sent(connection, scope)}
    for record in conversations:
        exchange = exchange_of(sent.get(record.id, ()), has_older=older)
        assert record.unanswered_since_at == (None if record.is_gone else exchange.unanswered_since)
        response = exchange.first_response
        assert record.first_response_seconds == (response.seconds if response else None)
        is_page = exchange.last_is_from_page
        assert record.last_sender == (None if is_page is None else "page" if is_page else "contact")
        assert record.first_message_at == exchange.first_message_at
        assert (record.messages_from_contact, record.messages_from_page) == (
            exchange.messages_in,
            exchange.messages_out,
        )
    for contact in contacts:
        own = [each for each in conversations if each.sender_id == contact.sender_id]
        waits = [each.unanswered_since_at for each in own if each.unanswered_since_at is not None]
        assert contact.unanswered_since_at == min(waits, default=None)
        assert contact.conversations == len(own)
        assert contact.messages_from_page == sum(each.messages_from_page or 0 for each in own)
