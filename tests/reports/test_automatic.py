"""Automatic greetings are found, shown, and no answers unless they are asked to be."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from inboxsync.model import Message, Page
from inboxsync.model.automatic import AutomaticTexts, without_automatic
from inboxsync.reports import ResponseTimes, response_times
from inboxsync.store import Store
from inboxsync.store.reading import Scope
from tests.reports.fixtures import Inbox

NOW = datetime(2026, 6, 2, 12, tzinfo=UTC)
GREETING = "Thank you for your message! We will get back to you soon."
SECOND = 1 / 60
CASES = Path(__file__).parents[3] / "shared" / "cases" / "use" / "automatic-greeting.ndjson"


def report(store: Store, page: Page, *, count_automatic: bool = False) -> ResponseTimes:
    with store.read() as connection:
        return response_times(connection, Scope(pages=(page,)), UTC, now=NOW, count_automatic=count_automatic)


def test_who_got_a_greeting_only_waits_and_a_time_is_the_persons(
    store: Store, inbox: Inbox, page: Page
) -> None:
    for number in range(20):
        messages = [inbox.said(number), inbox.answered(number + SECOND, GREETING)]
        if number >= 5:
            messages.append(inbox.answered(number + 180, f"It is {number}"))
        inbox.put(page, inbox.conversation(f"{number}", *messages))
    told = report(store, page)
    assert (told.overall.responses, told.overall.median_seconds) == (15, 3 * 3600)
    assert told.unanswered.conversations == 5
    assert [(each.text, each.conversations) for each in told.automatic] == [(GREETING, 20)]
    counted = report(store, page, count_automatic=True)
    assert (counted.overall.responses, counted.overall.median_seconds) == (20, 1)
    assert counted.unanswered.conversations == 0
    assert counted.automatic_counted
    assert counted.automatic == told.automatic


def test_a_greeting_may_have_the_contacts_name_in_it(store: Store, inbox: Inbox, page: Page) -> None:
    for number, name in enumerate(["Ann Lee", "Bob Fox", "Cho Kim", "Dan Orr", "Eva Roy"]):
        hello = f"Hi {name.split()[0]}, how can we help?"
        inbox.put(
            page, inbox.conversation(f"{number}", inbox.said(0), inbox.answered(SECOND, hello), name=name)
        )
    told = report(store, page)
    assert [each.text for each in told.automatic] == ["Hi \u2026, how can we help?"]
    assert told.unanswered.conversations == 5


@pytest.mark.parametrize(
    ("conversations", "later"),
    [
        (4, 0),  # too few
        (8, 2),  # also sent by hand
    ],
)
def test_other_texts_that_repeat_are_answers(
    store: Store, inbox: Inbox, page: Page, conversations: int, later: int
) -> None:
    for number in range(conversations):
        wait = 3.0 if number < later else SECOND
        inbox.put(page, inbox.conversation(f"{number}", inbox.said(0), inbox.answered(wait, "ok")))
    told = report(store, page)
    assert told.automatic == ()
    assert told.unanswered.conversations == 0


def test_each_page_has_its_own_greetings(store: Store, inbox: Inbox, page: Page) -> None:
    other = inbox.page("105")
    for number in range(5):
        said: tuple[Message, ...] = (inbox.said(0), inbox.answered(SECOND, GREETING))
        inbox.put(page, inbox.conversation(f"{number}", *said))
    inbox.put(
        other, inbox.conversation("1", inbox.said(0), inbox.answered(SECOND, GREETING), conversation_id="t_o")
    )
    assert report(store, other).unanswered.conversations == 0
    assert report(store, page).unanswered.conversations == 5


def test_only_what_came_at_once_is_left_out_whatever_else_was_written() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    for seed in range(100):
        dice = Random(seed)  # noqa: S311
        said = []
        for step in range(12):
            is_from_page = dice.random() < 0.5
            at += timedelta(seconds=dice.choice([0, 1, 5, 6, 3600]))
            said.append((at, is_from_page, dice.choice([GREETING, f"text {step}"]) if is_from_page else None))
        kept = without_automatic(said, "Ann", [GREETING])
        assert [each[0] for each in kept if not each[1]] == [each[0] for each in said if not each[1]]
        gone = len(said) - len(kept)
        assert gone <= sum(text == GREETING for _, _, text in said)
        assert without_automatic(said, "Ann", []) == [(when, who) for when, who, _ in said]


def test_the_greeting_of_the_shared_case_is_found() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES.name} is not beside this checkout")
    conversations = []
    for line in CASES.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        conversations.append(
            [
                (datetime.fromisoformat(each["at"]), each["from"] == "page", each["text"])
                for each in record["messages"]
            ]
        )
    texts = AutomaticTexts()
    for said in conversations:
        texts.look(said, "A0")
    assert texts.leave_rare()
    for said in conversations:
        texts.count(said, "A0")
    assert texts.found() == {GREETING: 20}
