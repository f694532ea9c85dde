import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inboxsync.graph import body, decode
from inboxsync.graph.body import decode_body, fast_conversations
from inboxsync.graph.decode import GraphConversation, GraphMessage, identifier
from inboxsync.graph.errors import FaultError
from inboxsync.graph.records import decode_list
from inboxsync.model import Conversation, Dropped
from tests.fixtures import Json

# An entry of a list as JSON.
Entry: TypeAlias = dict[str, Any]

PAGE = "104"
OWN = frozenset({PAGE})

lone_surrogates = st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010), max_size=4)
huge = st.integers(2**62, 2**2000) | st.integers(-(2**2000), -(2**62))
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | huge | st.floats() | st.text() | lone_surrogates,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
known_keys = st.sampled_from(
    [
        "id",
        "updated_time",
        "participants",
        "messages",
        "data",
        "from",
        "created_time",
        "message",
        "attachments",
        "reply_to",
        "mid",
        "paging",
        "next",
        "name",
        "message_count",
    ],
)
# Any JSON under the names that matter: far likelier to reach the branches than any JSON alone.
graph_like = st.recursive(
    any_json,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys, inner, max_size=6),
    max_leaves=30,
)


def decoded(data: object, *, is_instagram: bool = False) -> tuple[list[Conversation], tuple[Dropped, ...]]:
    found, dropped = decode_list(data, own_ids=OWN, is_instagram=is_instagram)
    assert all(each.fingerprint() for each in found)
    return [each.whole() for each in found], dropped


def decode_one(entry: Entry) -> Conversation:
    (conversation,), dropped = decoded([entry])
    assert dropped == ()
    return conversation


def served(data: object) -> Json:
    """`data` as it arrives: surrogates escaped, numbers of any length."""
    try:
        return decode_body(json.dumps({"data": data}).encode(), status=200, redact=str)["data"]
    except FaultError:  # too deep for the JSON readers, or a number too long for Python's
        assume(False)


@given(graph_like, st.booleans())
def test_no_json_makes_decoding_raise(data: object, is_instagram: bool) -> None:
    conversations, _ = decoded(served(data), is_instagram=is_instagram)
    msgspec.json.encode(conversations)


@given(st.lists(graph_like))
def test_decoding_invents_no_id(data: list[object]) -> None:
    entries = served(data)
    known = set(_ids_in(entries))
    conversations, _ = decoded(entries)
    for conversation in conversations:
        found: set[str | None] = {
            conversation.conversation_id,
            *(each.id for each in conversation.participants),
        }
        found |= {conversation.contact.id} if conversation.contact else set()
        for message in conversation.messages:
            found |= {message.message_id, message.sender_id, message.reply_to_message_id}
        assert found - {None} <= known


def _ids_in(value: object) -> Iterator[str]:
    """All that an id can be made of, anywhere in some JSON."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from _ids_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids_in(inner)
    elif isinstance(value, str | int):
        yield str(value)


@given(st.integers(1, 3000), st.sampled_from(["attachments", "shares", "story", "tags", "reply_to", "from"]))
def test_no_depth_makes_decoding_raise(depth: int, key: str) -> None:
    deep = f"{'[' * depth}{']' * depth}" if depth % 2 else f'{{"a":{"[" * depth}{"]" * depth}}}'
    text = f'{{"data":[{{"id":"t_1","x":{deep},"messages":{{"data":[{{"id":"m_1","{key}":{deep}}}]}}}}]}}'
    try:
        body = decode_body(text.encode(), status=200, redact=str)
    except FaultError:
        return
    (conversation,), _ = decoded(body["data"])
    assert [each.message_id for each in conversation.messages] == ["m_1"]


@pytest.mark.parametrize("number", [2**64, -(2**63), 10**300, 10**4299])
def test_a_number_past_64_bits_is_kept_as_text(number: int) -> None:
    extra = decode_one({"id": "t_1", "x": number}).extra
    assert extra is not None
    assert json.loads(extra)["x"] in (str(number), "[number too long]")


@pytest.mark.parametrize(
    ("entry", "on_instagram"),
    [
        ({}, False),
        ({"created_time": "2017-03-02T09:37:33+0000"}, False),
        ({"from": None, "message": "", "attachments": None}, False),
        ({"from": {"id": "7"}}, True),
        ({"message": "hello"}, True),
        ({"attachments": {"data": [{"id": "9"}]}}, True),
        ({"is_unsupported": True}, True),
    ],
)
def test_on_instagram_a_message_with_only_an_id_and_a_time_is_unreadable(
    entry: Entry, on_instagram: bool
) -> None:
    data = [{"id": "t_1", "messages": {"data": [{"id": "m_1", **entry}]}}]
    for is_instagram, expected in ((True, on_instagram), (False, True)):
        (conversation,), _ = decoded(data, is_instagram=is_instagram)
        assert [each.is_readable for each in conversation.messages] == [expected]


@given(st.lists(graph_like))
def test_every_entry_is_kept_or_reported(data: list[object]) -> None:
    conversations, dropped = decoded(data)
    about_conversations = [each for each in dropped if "message" not in each.what]
    assert len(conversations) + len(about_conversations) == len(data)


def test_the_contact_is_the_participant_who_is_not_the_page() -> None:
    people = [{"id": PAGE, "name": "The Page"}, {"id": "7", "name": "Ann"}]
    for order in (people, people[::-1]):
        contact = decode_one({"id": "t_1", "participants": {"data": order}}).contact
        assert contact is not None
        assert (contact.id, contact.name) == ("7", "Ann")


def test_a_gone_contact_is_found_in_the_messages() -> None:
    message = {"id": "m_1", "from": {"id": "7", "name": "Ann"}, "message": "hello"}
    entry = {"id": "t_1", "participants": {"data": [{"id": PAGE}]}, "messages": {"data": [message]}}
    contact = decode_one(entry).contact
    assert contact is not None
    assert contact.id == "7"


def test_a_conversation_with_only_the_page_has_no_contact() -> None:
    assert decode_one({"id": "t_1", "participants": {"data": [{"id": PAGE}]}}).contact is None


def test_ids_may_be_numbers_past_2_to_the_53() -> None:
    assert identifier(28181025000000001) == "28181025000000001"
    assert identifier(True) is None
    assert identifier("") is None


@pytest.mark.parametrize(
    ("served", "meant"),
    [
        ("2017-03-02T09:37:33+0000", datetime(2017, 3, 2, 9, 37, 33, tzinfo=UTC)),
        ("2017-03-02T09:37:33Z", datetime(2017, 3, 2, 9, 37, 33, tzinfo=UTC)),
        ("2017-03-02T11:37:33+0200", datetime(2017, 3, 2, 9, 37, 33, tzinfo=UTC)),
        (1488447453, datetime(2017, 3, 2, 9, 37, 33, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
        (10**30, None),
    ],
)
def test_times_are_read_as_utc_or_not_at_all(served: object, meant: datetime | None) -> None:
    assert decode_one({"id": "t_1", "updated_time": served}).source_updated_at == meant


def test_an_empty_text_stays_empty_and_a_missing_one_missing() -> None:
    messages = [{"id": "m_1", "message": ""}, {"id": "m_2"}]
    first, second = decode_one({"id": "t_1", "messages": {"data": messages}}).messages
    assert first.text == ""
    assert second.text is None


def test_only_the_nested_next_says_that_there_are_older_messages() -> None:
    cursors = {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}}
    without = {"id": "t_1", "messages": {"data": [], "paging": cursors}}
    assert not decode_one(without).has_older_messages
    assert decode_one(
        {"id": "t_1", "messages": {"data": [], "paging": cursors | {"next": "https://x"}}}
    ).has_older_messages


def test_fields_without_a_place_are_kept_as_extra() -> None:
    message = {"id": "m_1", "is_unsupported": "true"}
    conversation = decode_one({"id": "t_1", "wallpaper": "blue", "messages": {"data": [message]}})
    assert conversation.extra == '{"wallpaper":"blue"}'
    assert conversation.messages[0].extra == '{"is_unsupported":"true"}'


@pytest.mark.parametrize(
    ("shape", "fields"), [(decode._CONVERSATION, GraphConversation), (decode._MESSAGE, GraphMessage)]
)
def test_every_field_of_the_usual_shape_can_be_normalised(
    shape: decode.Shape, fields: type[msgspec.Struct]
) -> None:
    names = {each.encode_name: each.name for each in msgspec.structs.fields(fields)}
    apart = {"id", "messages", "others"}
    assert {served: name for served, (name, _) in shape.items()} == {
        served: name for served, name in names.items() if served not in apart
    }


def test_an_answers_own_others_are_kept_as_extra() -> None:
    entry = {"id": "t_1", "others": {"a": 1}, "messages": {"data": [{"id": "m_1", "others": {"b": 2}}]}}
    data = json.dumps({"data": [entry]}).encode()
    conversation = decode_one(decode_body(data, status=200, redact=str, fast=fast_conversations)["data"][0])
    assert conversation.extra == '{"others":{"a":1}}'
    assert conversation.messages[0].extra == '{"others":{"b":2}}'


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", {"name": "without an id"}),
        ("from", "Ann"),
        ("message", {"text": "hello"}),
        ("sticker", 369239263222822),
        ("reply_to", {"story": {"id": "1"}}),
        ("is_unsupported", "true"),
        ("is_unsupported", 1),
        ("created_time", {"seconds": 5}),
        ("tags", {"data": [{"name": "inbox"}]}),
    ],
)
def test_a_value_of_another_type_is_kept_as_extra(name: str, value: object) -> None:
    (message,) = decode_one({"id": "t_1", "messages": {"data": [{"id": "m_1", name: value}]}}).messages
    assert message.extra is not None
    assert json.loads(message.extra) == {name: value}
    assert message.text is message.sender_id is message.sticker is message.reply_to_message_id is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_count", "many"),
        ("unread_count", 1.5),
        ("snippet", ["hello"]),
        ("link", 7),
        ("participants", "Ann"),
        ("messages", "none"),
        ("updated_time", True),
    ],
)
def test_a_conversations_value_of_another_type_is_kept_as_extra(name: str, value: object) -> None:
    extra = decode_one({"id": "t_1", name: value}).extra
    assert extra is not None
    assert json.loads(extra) == {name: value}


def nested(depth: int) -> list[Any]:
    return [nested(depth - 1)] if depth else []


touchy = st.sampled_from(["paging", "access_token", "x?access_token=1", "9" * 19, '"paging"'])
touchy_json = st.recursive(
    any_json | touchy | st.integers(2**62, 2**65) | st.integers(0, 70).map(nested),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(touchy | st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(touchy_json)
def test_json_that_is_stored_unchanged_is_what_a_closer_look_would_store(value: object) -> None:
    kept = body.json_text(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "_unchanged", lambda _: None)
        assert body.json_text(value) == kept


def test_an_attachment_lists_own_next_is_not_kept() -> None:
    attachments = {"data": [{"id": "9", "size": None}], "paging": {"next": "https://x?access_token=secret"}}
    entry = {"id": "t_1", "messages": {"data": [{"id": "m_1", "attachments": attachments}]}}
    assert decode_one(entry).messages[0].attachments == '[{"id":"9","size":null}]'


def test_no_nested_paging_is_kept_for_it_holds_the_token() -> None:
    url = "https://x/next?access_token=EAAsecret&after=b"
    inner = {"data": [{"id": "1", "more": {"data": [], "paging": {"next": url}}, "link": url}]}
    entry = {
        "id": "t_1",
        "tags": inner,
        "messages": {"data": [{"id": "m_1", "shares": inner, "attachments": inner, "tags": inner}]},
    }
    assert b"EAAsecret" not in msgspec.json.encode(decode_one(entry))


@pytest.mark.parametrize("count", [2**63, "9" * 30, -(2**63), 1.5, True, "many"])
def test_a_count_that_no_database_holds_is_no_count(count: object) -> None:
    assert decode_one({"id": "t_1", "message_count": count}).message_count is None


@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_time_since_the_epoch_is_read_in_any_unit(factor: int, *, as_text: bool) -> None:
    number = 1_779_926_400 * factor
    entry = {"id": "m_1", "created_time": str(number) if as_text else number, "message": "x"}
    (message,) = decode_one({"id": "t_1", "messages": {"data": [entry]}}).messages
    assert message.sent_at == datetime(2026, 5, 28, tzinfo=UTC)


def test_the_page_is_known_under_the_second_id_of_its_instagram_account() -> None:
    own = {"username": "shop", "id": "28978671838402975", "user_id": "17841400000000001"}
    ann = {"username": "ann", "id": "900"}
    messages = [
        {"id": "m_0", "from": own, "message": "we reply"},
        {"id": "m_1", "from": ann, "message": "hi"},
    ]
    entry = {"id": "igc1", "participants": {"data": [own, ann]}, "messages": {"data": messages}}
    data = json.dumps({"data": [entry]}).encode()
    served = decode_body(data, status=200, redact=str, fast=fast_conversations)["data"]
    own_ids = frozenset({"104567890123456", "17841400000000001"})
    (record,), _ = decode_list(served, own_ids=own_ids, is_instagram=True)
    conversation = record.whole()
    assert conversation.contact is not None
    assert conversation.contact.id == "900"
    assert [message.is_from_page for message in conversation.messages] == [True, False]
