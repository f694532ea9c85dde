"""Both ways to a record: the fast decoder's, and that of odd answers; and the record's fingerprint."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inboxsync.graph.body import Body, decode_body, fast_conversations, fast_messages
from inboxsync.graph.decode import GraphConversation, normalise_conversation, normalise_messages
from inboxsync.graph.errors import FaultError
from inboxsync.graph.records import decode_list, decode_messages
from inboxsync.model import Conversation, Dropped, SourceRecord

# An entry of a list as JSON: a test changes it as it likes.
Entry: TypeAlias = dict[str, Any]

PAGE = "104"
OWN = frozenset({PAGE})
SIGNED = "https://cdn.example.com/1.jpg?oh={}"

odd: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just({}) | st.just([])
)
texts = st.none() | st.text(max_size=6)
ids = st.text("0123456789_mt", min_size=1, max_size=5)
people = st.fixed_dictionaries({}, optional={"id": ids, "name": texts, "username": texts, "user_id": ids})
edges = st.fixed_dictionaries(
    {}, optional={"data": st.lists(people | odd, max_size=2), "paging": st.just({"next": "https://x"})}
)
messages = st.fixed_dictionaries(
    {"id": ids},
    optional={
        "created_time": st.sampled_from(["2026-01-02T03:04:05+0000", "2026-01-02T03:04:05.5+02:00", "", 7]),
        "from": people | odd,
        "message": texts,
        "attachments": edges | odd,
        "shares": edges | odd,
        "sticker": texts,
        "reactions": edges | odd,
        "story": edges | odd,
        "reply_to": st.fixed_dictionaries({}, optional={"mid": ids}) | odd,
        "is_unsupported": odd,
        "tags": odd,
    },
)
conversations = st.fixed_dictionaries(
    {"id": ids},
    optional={
        "updated_time": st.sampled_from(["2026-01-02T03:04:05+0000", "yesterday", 5]),
        "message_count": st.none() | st.integers() | st.just("4"),
        "unread_count": st.none() | st.integers(-(2**40), 2**40),
        "snippet": texts,
        "link": texts,
        "participants": st.fixed_dictionaries({"data": st.lists(people, max_size=3)}) | odd,
        "messages": st.fixed_dictionaries(
            {"data": st.lists(messages, max_size=4)},
            optional={"paging": st.fixed_dictionaries({}, optional={"next": texts})},
        )
        | odd,
        "wallpaper": odd,
    },
)


def over_the_transport(data: Sequence[object], *, fast: Callable[[Body], Entry] | None) -> list[Any]:
    body = json.dumps({"data": data, "paging": {"cursors": {"after": "x"}}}).encode()
    try:
        found: list[Any] = decode_body(body, status=200, redact=str, fast=fast)["data"]
    except FaultError:
        assume(False)
    return found


def record_of(entry: Entry) -> SourceRecord:
    (found,), _ = decode_list(over_the_transport([entry], fast=fast_conversations), own_ids=OWN)
    return found


@given(st.lists(conversations | odd, max_size=4), st.booleans())
def test_the_fast_decoder_leads_to_the_same_records_as_any_json(
    data: list[object], is_instagram: bool
) -> None:
    (expected, not_read), (found, dropped) = (
        decode_list(over_the_transport(data, fast=fast), own_ids=OWN, is_instagram=is_instagram)
        for fast in (None, fast_conversations)
    )
    assert dropped == not_read
    for each, other in zip(found, expected, strict=True):
        assert each.whole() == other.whole()
        assert each.fingerprint() == other.fingerprint()
        assert each.conversation_id == each.whole().conversation_id
        assert each.source_updated_at == each.whole().source_updated_at


@given(st.lists(messages | odd, max_size=4), st.booleans())
def test_the_fast_decoder_leads_to_the_same_messages_as_any_json(
    data: list[object], is_instagram: bool
) -> None:
    results = []
    for fast in (None, fast_messages):
        dropped: list[Dropped] = []
        entries = over_the_transport(data, fast=fast)
        results.append((decode_messages(entries, dropped, own_ids=OWN, is_instagram=is_instagram), dropped))
    assert results[0] == results[1]


@given(conversations)
def test_an_entry_of_the_usual_shape_is_normalised_to_what_the_fast_decoder_makes_of_it(entry: Entry) -> None:
    (fast,) = over_the_transport([entry], fast=fast_conversations)
    assume(isinstance(fast, GraphConversation))
    (any_json,) = over_the_transport([entry], fast=None)
    assert normalise_conversation(any_json, []) == fast


@given(st.lists(messages, max_size=3))
def test_a_normalised_message_is_what_the_fast_decoder_makes_of_it(data: list[Entry]) -> None:
    for fast, entry in zip(over_the_transport(data, fast=fast_messages), data, strict=True):
        if not isinstance(fast, dict):
            assert normalise_messages([entry], []) == [fast]


USUAL: Entry = {
    "id": "1001",
    "updated_time": "2026-01-02T03:04:05+0000",
    "message_count": 2,
    "unread_count": 0,
    "snippet": "hello",
    "link": "/inbox/1",
    "participants": {"data": [{"id": "7", "name": "Ann"}, {"id": PAGE, "name": "Shop"}]},
    "messages": {
        "data": [
            {
                "id": "2002",
                "created_time": "2026-01-02T03:04:05+0000",
                "from": {"id": "7"},
                "message": "hello",
                "reply_to": {"mid": "2001"},
            },
            {
                "id": "2001",
                "created_time": "2026-01-02T03:04:04+0000",
                "from": {"id": PAGE, "name": "Shop"},
                "message": "",
                "attachments": {"data": [{"id": "9", "image_data": {"url": SIGNED.format(1)}}]},
                "sticker": SIGNED.format(1),
            },
        ],
        "paging": {"cursors": {"before": "a", "after": "b"}, "next": "https://x?access_token=1"},
    },
}


def message(entry: Entry, place: int) -> Entry:
    found: Entry = entry["messages"]["data"][place]
    return found


# Each gives the same answer in an odd way that Meta has been seen, or must be expected, to answer in.
ODDITIES: list[Callable[[Entry], object]] = [
    lambda entry: entry.update(id=1001),
    lambda entry: entry.update(updated_time=1767323045),
    lambda entry: entry.update(updated_time="1767323045"),
    lambda entry: entry.update(updated_time="2026-01-02T04:04:05+01:00"),
    lambda entry: entry.update(message_count="2"),
    lambda entry: entry.update(unread_count="0"),
    lambda entry: entry.update(subject=None, wallpaper=None),
    lambda entry: entry.update(participants=entry["participants"]["data"]),
    lambda entry: entry["participants"]["data"].append({"name": "without an id"}),
    lambda entry: entry["participants"]["data"][0].update(id=7),
    lambda entry: entry["participants"]["data"][0].update(id="", user_id="7"),
    lambda entry: entry["participants"]["data"][0].update(username=5, email=[]),
    lambda entry: entry["messages"]["paging"].update(next=True),
    lambda entry: entry["messages"]["paging"].update(cursors=5, previous=7),
    lambda entry: entry["messages"]["data"].append({"message": "without an id"}),
    lambda entry: entry["messages"]["data"].append("no object"),
    lambda entry: message(entry, 0).update(id=2002),
    lambda entry: message(entry, 0).update(created_time=1767323045),
    lambda entry: message(entry, 0).update({"from": {"user_id": 7}}),
    lambda entry: message(entry, 0).update(reply_to={"mid": 2001}),
    lambda entry: message(entry, 0).update(tags=None, shares=[], story={}, attachments="", sticker=""),
    lambda entry: message(entry, 1).update(attachments=message(entry, 1)["attachments"]["data"]),
    lambda entry: message(entry, 1)["attachments"].update(paging={"next": "https://x?access_token=1"}),
]


@given(st.sets(st.sampled_from(range(len(ODDITIES)))))
def test_an_odd_answer_is_normalised_to_the_usual_one(chosen: set[int]) -> None:
    entry = copy.deepcopy(USUAL)
    # In this order the edges are changed before they are replaced by their lists.
    for number in sorted(chosen, reverse=True):
        ODDITIES[number](entry)
    usual, found = record_of(USUAL), record_of(entry)
    assert found.whole().contact == usual.whole().contact
    assert found.whole() == usual.whole()


@pytest.mark.parametrize("number", range(len(ODDITIES)))
def test_an_odd_answer_has_the_usual_ones_fingerprint_unless_a_time_is_written_otherwise(number: int) -> None:
    entry = copy.deepcopy(USUAL)
    ODDITIES[number](entry)
    found, usual = record_of(entry), record_of(USUAL)
    assert found.whole() == usual.whole()
    is_time = "1767323045" in json.dumps(entry) or "+01:00" in json.dumps(entry)
    assert (found.fingerprint() == usual.fingerprint()) is not is_time


@given(
    conversations,
    conversations,
    st.sets(st.sampled_from(["id", "snippet", "participants", "messages", "wallpaper"])),
)
def test_what_would_be_stored_otherwise_has_another_fingerprint(
    data: Entry, other: Entry, names: set[str]
) -> None:
    """Two that differ in a few things at most."""
    changed = data | {name: other[name] for name in names if name in other}
    one, another = record_of(data), record_of(changed)
    if one.fingerprint() == another.fingerprint():
        assert _kept(one.whole()) == _kept(another.whole())


def _kept(conversation: Conversation) -> list[object]:
    """What the store keeps of a second look."""
    return [
        *((getattr(conversation, name)) for name in Conversation.__struct_fields__ if name != "messages"),
        *(
            (
                each.message_id,
                each.sent_at,
                each.sender_id,
                each.text,
                each.reactions,
                each.is_readable,
                *(
                    bool(getattr(each, name))
                    for name in ("attachments", "shares", "sticker", "story", "extra")
                ),
            )
            for each in conversation.messages
        ),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: message(entry, 1).update(sticker=SIGNED.format(2)),
        lambda entry: message(entry, 1)["attachments"]["data"][0].update(url=SIGNED.format(2)),
        lambda entry: entry["messages"]["paging"].update(next="https://x?access_token=2", cursors={}),
        lambda entry: entry["participants"]["data"].reverse(),
    ],
    ids=[
        "a sticker signed again",
        "media signed again",
        "another cursor and token",
        "participants in another order",
    ],
)
@pytest.mark.parametrize("more", [{}, {"tags": {"data": [{"name": "inbox"}]}}], ids=["usual", "odd"])
def test_what_each_answer_has_of_its_own_is_not_in_the_fingerprint(
    change: Callable[[Entry], object], more: Entry
) -> None:
    entry = copy.deepcopy(USUAL)
    message(entry, 1).update(more)
    other = copy.deepcopy(entry)
    change(other)
    assert record_of(other).fingerprint() == record_of(entry).fingerprint() is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(updated_time="2026-01-02T03:04:06+0000"),
        lambda entry: entry.update(message_count=3),
        lambda entry: entry.update(unread_count=1),
        lambda entry: entry.update(snippet="hello!"),
        lambda entry: entry.update(link="/inbox/2"),
        lambda entry: entry.update(wallpaper="blue"),
        lambda entry: entry["participants"]["data"][0].update(name="Anna"),
        lambda entry: entry["participants"]["data"].append({"id": "8"}),
        lambda entry: entry["messages"]["paging"].pop("next"),
        lambda entry: entry["messages"]["data"].pop(),
        lambda entry: entry["messages"]["data"].reverse(),
        lambda entry: message(entry, 0).update(message="hello!"),
        lambda entry: message(entry, 0).update(created_time="2026-01-02T03:04:06+0000"),
        lambda entry: message(entry, 0)["from"].update(name="Ann"),
        lambda entry: message(entry, 0).update(reactions={"data": [{"reaction": "love"}]}),
        lambda entry: message(entry, 0).update(attachments={"data": [{"id": "1"}]}),
        lambda entry: message(entry, 0).update(shares={"data": [{"link": "x"}]}),
        lambda entry: message(entry, 0).update(reply_to={"mid": "m_1"}),
        lambda entry: message(entry, 0).update(is_unsupported=True),
        lambda entry: message(entry, 0).update(is_deleted=True),
        lambda entry: message(entry, 0).update(edited_time="2026-01-02T03:04:06+0000"),
        lambda entry: message(entry, 0).update(tags={"data": [{"name": "inbox"}]}),
        lambda entry: message(entry, 1).pop("sticker"),
        lambda entry: message(entry, 1).pop("attachments"),
        lambda entry: message(entry, 1)["attachments"]["data"].clear(),
    ],
)
def test_what_may_be_stored_is_in_the_fingerprint(change: Callable[[Entry], object]) -> None:
    other = copy.deepcopy(USUAL)
    change(other)
    assert record_of(other).fingerprint() != record_of(USUAL).fingerprint()


def test_of_its_newest_messages_it_has_the_fingerprint_of_an_answer_with_no_more() -> None:
    shorter = copy.deepcopy(USUAL)
    shorter["messages"]["data"].pop()
    longer = record_of(USUAL)
    assert longer.fingerprint(1) == record_of(shorter).fingerprint() != longer.fingerprint()
    assert longer.fingerprint(2) == longer.fingerprint(3) == longer.fingerprint()
    del shorter["messages"]["paging"]["next"]
    assert longer.fingerprint(1) != record_of(shorter).fingerprint(), "there are older ones"


def test_whose_inbox_it_is_is_in_the_fingerprint() -> None:
    data = over_the_transport([USUAL], fast=fast_conversations)
    fingerprints = {
        decode_list(data, own_ids=own_ids, is_instagram=is_instagram)[0][0].fingerprint()
        for own_ids in (OWN, frozenset({"7"}))
        for is_instagram in (False, True)
    }
    assert len(fingerprints) == 4


def test_an_odd_entry_costs_the_others_nothing() -> None:
    odd_one = USUAL | {"id": "t_2", "wallpaper": "blue"}
    data = over_the_transport([USUAL, odd_one, {"x": 1}], fast=fast_conversations)
    assert [isinstance(each, GraphConversation) for each in data] == [True, False, False]
    found, dropped = decode_list(data, own_ids=OWN)
    assert [each.conversation_id for each in found] == ["1001", "t_2"]
    assert found[1].whole().extra == '{"wallpaper":"blue"}'
    assert len(dropped) == 1


@pytest.mark.parametrize("place", ["snippet", "message", "name", "wallpaper"])
def test_u_0000_is_announced_and_costs_the_others_nothing(place: str) -> None:
    """Not every database stores it."""
    with_nul = copy.deepcopy(USUAL)
    targets = {"message": message(with_nul, 0), "name": with_nul["participants"]["data"][0]}
    targets.get(place, with_nul)[place] = "a\0b"
    found, _ = decode_list(over_the_transport([USUAL, with_nul], fast=fast_conversations), own_ids=OWN)
    assert [each.may_hold_nul() for each in found] == [False, True]
    whole = found[1].whole()
    assert "a\0b" in (whole.snippet, whole.messages[0].text, whole.participants[0].name) or whole.extra
