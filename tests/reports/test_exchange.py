"""Who waits for whom: the one definition."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.model import Exchange, exchange_of, iter_responses
from inboxsync.model.exchange import Sent

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def sent(script: str) -> list[Sent]:
    """A character a minute: `c` the contact writes, `p` the Page, `b` both, `.` nobody."""
    told: list[Sent] = []
    for minute, who in enumerate(script):
        at = NOON + timedelta(minutes=minute)
        told += [(at, False)] * (who in "cb") + [(at, True)] * (who in "pb")
    return told


def minute_of(at: datetime | None) -> int | None:
    return None if at is None else round((at - NOON).total_seconds()) // 60


@pytest.mark.parametrize(
    ("script", "since"),
    [
        ("", None),
        ("c", 0),
        ("cc", 0),
        ("ccp", None),
        ("cpcc", 2),
        ("p", None),
        ("b", None),
        ("pc", 1),
        ("cb", None),
    ],
)
def test_unanswered_since_the_first_message_after_the_pages_last(script: str, since: int | None) -> None:
    assert minute_of(exchange_of(sent(script), has_older=False).unanswered_since) == since


@pytest.mark.parametrize(
    ("script", "minutes"),
    [
        ("cp", [1]),
        ("c.c.p", [4]),
        ("cppc..p", [1, 3]),
        ("ppp", []),
        ("c", []),
        ("b", [0]),
        ("pc.pcp", [2, 1]),
    ],
)
def test_a_response_goes_from_the_first_question_to_the_next_answer(script: str, minutes: list[int]) -> None:
    found = list(iter_responses(sent(script), has_older=False))
    assert [each.seconds / 60 for each in found] == minutes
    first = exchange_of(sent(script), has_older=False).first_response
    assert first == (found[0] if found else None)


def test_where_older_messages_are_missing_nobody_knows_the_first_response() -> None:
    assert exchange_of(sent("cpcp"), has_older=True).first_response is None
    assert [each.seconds / 60 for each in iter_responses(sent("c.p.cp"), has_older=True)] == [1]


def test_who_wrote_last_and_until_when_may_be_answered() -> None:
    told = exchange_of(sent("cpc.p"), has_older=False)
    assert (told.messages_in, told.messages_out, told.last_is_from_page) == (2, 2, True)
    assert told.reply_window_closes_at == NOON + timedelta(hours=24, minutes=2)
    assert (minute_of(told.first_message_at), minute_of(told.last_message_at)) == (0, 4)
    assert exchange_of([], has_older=False) == Exchange()
    assert exchange_of([(None, False)], has_older=False) == Exchange(messages_in=1)


@given(script=st.text("cpb.", max_size=12))
def test_it_is_what_sql_would_say(script: str) -> None:
    messages = sent(script)
    incoming = [at for at, is_from_page in messages if not is_from_page and at]
    last_out = max((at for at, is_from_page in messages if is_from_page and at), default=None)
    waiting = [at for at in incoming if last_out is None or at > last_out]
    told = exchange_of(messages, has_older=False)
    assert told.unanswered_since == min(waiting, default=None)
    assert told.last_is_from_page == (None if not messages else told.unanswered_since is None)
