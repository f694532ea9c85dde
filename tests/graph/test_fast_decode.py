import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inboxsync.graph.body import decode_body
from inboxsync.graph.decode import decode_conversations
from inboxsync.graph.errors import FaultError
from inboxsync.graph.fast_decode import Listed, decode_fast, decode_listed
from inboxsync.model import Conversation, SourceRecord

PAGE = "104"
OWN = frozenset({PAGE})
SIGNED = "https://cdn.example.com/1.jpg?oh={}"

odd = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just({}) | st.just([])
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


def over_the_transport(data: list[Any], *, fast: bool) -> list[Any]:
    body = json.dumps({"data": data, "paging": {"cursors": {"after": "x"}}}).encode()
    try:
        found: list[Any] = decode_body(
            body, status=200, redact=str, decode_fast=decode_fast if fast else None
        )["data"]
    except FaultError:
        assume(False)
    return found


def listed(entry: dict[str, Any]) -> SourceRecord:
    (found,), _ = decode_listed(over_the_transport([entry], fast=True), own_ids=OWN)
    return found


@settings(deadline=None)
@given(st.lists(conversations | odd, max_size=4), st.booleans())
def test_what_is_read_by_shape_is_what_is_read_from_any_json(data: list[Any], is_instagram: bool) -> None:
    expected = decode_conversations(
        over_the_transport(data, fast=False), own_ids=OWN, is_instagram=is_instagram
    )
    found, dropped = decode_listed(
        over_the_transport(data, fast=True), own_ids=OWN, is_instagram=is_instagram
    )
    assert (tuple(each.whole() for each in found), dropped) == expected
    for each, whole in zip(found, expected[0], strict=True):
        assert each.conversation_id == whole.conversation_id
        assert each.source_updated_at == whole.source_updated_at


@settings(deadline=None)
@given(conversations, conversations, st.sets(st.sampled_from(["id", "snippet", "participants", "messages"])))
def test_what_would_be_stored_otherwise_has_another_fingerprint(
    data: dict[str, Any], other: dict[str, Any], names: set[str]
) -> None:
    """Two that differ in a few things at most."""
    changed = data | {name: other[name] for name in names if name in other}
    one, another = listed(data), listed(changed)
    if one.fingerprint() is not None and one.fingerprint() == another.fingerprint():
        assert _kept(one.whole()) == _kept(another.whole())


def _kept(conversation: Conversation) -> Any:
    """What the store keeps of a second look: see `store.message_rows`."""
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


FAST: dict[str, Any] = {
    "id": "t_1",
    "updated_time": "2026-01-02T03:04:05+0000",
    "message_count": 2,
    "unread_count": 0,
    "snippet": "hello",
    "link": "/inbox/1",
    "participants": {"data": [{"id": "7", "name": "Ann"}, {"id": PAGE, "name": "Shop"}]},
    "messages": {
        "data": [
            {
                "id": "m_2",
                "created_time": "2026-01-02T03:04:05+0000",
                "from": {"id": "7"},
                "message": "hello",
            },
            {
                "id": "m_1",
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


def message(entry: dict[str, Any], place: int) -> dict[str, Any]:
    found: dict[str, Any] = entry["messages"]["data"][place]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: message(entry, 1).update(sticker=SIGNED.format(2)),
        lambda entry: message(entry, 1)["attachments"]["data"][0].update(url=SIGNED.format(2)),
        lambda entry: entry["messages"]["paging"].update(next="https://x?access_token=2", cursors={}),
        lambda entry: entry["participants"]["data"].reverse(),
    ],
    ids=[
        "a sticker signed anew",
        "media signed anew",
        "another cursor and token",
        "participants in another order",
    ],
)
def test_what_each_answer_has_of_its_own_is_not_in_the_fingerprint(change: Callable[[Any], None]) -> None:
    other = copy.deepcopy(FAST)
    change(other)
    assert listed(other).fingerprint() == listed(FAST).fingerprint() is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(updated_time="2026-01-02T03:04:06+0000"),
        lambda entry: entry.update(message_count=3),
        lambda entry: entry.update(unread_count=1),
        lambda entry: entry.update(snippet="hello!"),
        lambda entry: entry.update(link="/inbox/2"),
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
        lambda entry: message(entry, 1).pop("sticker"),
        lambda entry: message(entry, 1).pop("attachments"),
        lambda entry: message(entry, 1)["attachments"]["data"].clear(),
    ],
)
def test_what_may_be_stored_is_in_the_fingerprint(change: Callable[[Any], Any]) -> None:
    other = copy.deepcopy(FAST)
    change(other)
    assert isinstance(listed(other), Listed)
    assert listed(other).fingerprint() != listed(FAST).fingerprint()


def test_whose_inbox_it_is_is_in_the_fingerprint() -> None:
    data = over_the_transport([FAST], fast=True)
    fingerprints = {
        decode_listed(data, own_ids=own_ids, is_instagram=is_instagram)[0][0].fingerprint()
        for own_ids in (OWN, frozenset({"7"}))
        for is_instagram in (False, True)
    }
    assert len(fingerprints) == 4


def test_one_of_another_shape_has_no_fingerprint_and_costs_the_others_nothing() -> None:
    odd_one = FAST | {"id": "t_2", "wallpaper": "blue"}
    found, dropped = decode_listed(over_the_transport([FAST, odd_one, {"x": 1}], fast=True), own_ids=OWN)
    assert [each.conversation_id for each in found] == ["t_1", "t_2"]
    assert [each.fingerprint() is None for each in found] == [False, True]
    assert found[1].whole().extra == '{"wallpaper":"blue"}'
    assert len(dropped) == 1
