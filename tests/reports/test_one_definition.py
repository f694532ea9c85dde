"""What is derived by SQL and what is told from the messages are one thing."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inboxsync.clock import SystemClock
from inboxsync.model import Page
from inboxsync.reports.tables import last_sender
from inboxsync.store import Store
from inboxsync.store.reading import Scope, get_conversation, iter_contacts, iter_conversations
from inboxsync.sync import Derive

# Who wrote in each minute: the contact, the Page, both, something that nobody can read, or nobody.
scripts = st.lists(st.text("cpbu.", max_size=8), min_size=1, max_size=4)


@pytest.fixture
def write(store: Store, inbox: Any, page: Page) -> Any:
    def conversations(told: list[str], *, gone: bool, older: bool) -> None:
        with store.write() as connection:
            connection.exec_driver_sql("DELETE FROM messenger_conversations")
        for number, script in enumerate(told):
            messages = []
            for minute, who in enumerate(script):
                messages += [inbox.said(minute)] * (who in "cb") + [inbox.answered(minute)] * (who in "pb")
                messages += [inbox.said(minute, None, message_id=f"u{minute}", is_readable=False)] * (
                    who == "u"
                )
            # Two conversations of each contact.
            told_of = {"conversation_id": f"t_{number}", "has_older_messages": older}
            inbox.put(page, inbox.conversation(f"{number // 2}", *messages, **told_of))
        with store.write() as connection:
            if gone:
                connection.exec_driver_sql(
                    "UPDATE messenger_conversations SET conversation_status = 'gone' "
                    "WHERE conversation_id = 't_0'"
                )
        Derive(store=store, clock=SystemClock()).run()

    return conversations


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=scripts, gone=st.booleans(), older=st.booleans())
def test_who_waits_and_since_when(
    store: Store, page: Page, write: Any, told: list[str], gone: bool, older: bool
) -> None:
    write(told, gone=gone, older=older)
    scope = Scope(pages=(page,))
    with store.read() as connection:
        for row in list(iter_conversations(connection, scope)):
            derived, exchange = get_conversation(connection, row.row_id), row.exchange
            assert derived is not None
            assert derived.unanswered_since_at == exchange.unanswered_since
            response = exchange.first_response
            assert derived.first_response_seconds == (response.seconds if response else None)
            assert (derived.last_sender or "nobody") == last_sender(exchange)
            assert derived.first_message_at == exchange.first_message_at
        waiting = {contact.contact_id: contact.exchange for contact in iter_contacts(connection, scope)}
        rows = connection.exec_driver_sql(
            "SELECT sender_id, unanswered_since_at IS NULL, messages_from_contact, messages_from_page "
            "FROM contacts"
        ).all()
    assert len(rows) == len(waiting) == (len(told) + 1) // 2
    for contact_id, is_answered, messages_in, messages_out in rows:
        exchange = waiting[contact_id]
        assert (exchange.unanswered_since is None) == is_answered
        assert (exchange.messages_in, exchange.messages_out) == (messages_in, messages_out)
