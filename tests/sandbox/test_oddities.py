"""What is odd in Meta's answers (graph-facts 1.1, 1.4 to 1.7, 1.10)."""

import gzip
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.fixtures import PATIENCE_SECONDS, Json
from tests.sandbox.fixtures import Graph, StartGraph

PLATFORMS = ["messenger", "instagram"]


@pytest.fixture
def many(graph: StartGraph) -> Graph:
    """Enough messages for everything rare."""
    return graph(conversations=600, messages=(10, 18))


def entries(served: Graph, fields: str, platform: str = "messenger") -> Iterator[dict[str, Json]]:
    for answer in served.scan(limit=200, platform=platform, fields=fields):
        yield from answer.data


def messages(served: Graph, fields: str, platform: str = "messenger") -> Iterator[dict[str, Json]]:
    for entry in entries(served, f"messages.limit(18){{{fields}}}", platform):
        yield from entry["messages"]["data"]


def attached(served: Graph, platform: str) -> list[dict[str, Json]]:
    found = (each.get("attachments", {}) for each in messages(served, "attachments", platform))
    return [part for each in found for part in each.get("data", [])]


def test_conversations_have_ids_of_every_form(many: Graph) -> None:
    forms = {re.sub(r"[0-9a-f]+", "#", each["id"].removeprefix("t_")) for each in entries(many, "id")}
    assert forms == {"#", "i#.#", "mi#.#:#"}


def test_messages_have_ids_of_every_form(many: Graph) -> None:
    found = {each["id"] for each in messages(many, "id")}
    assert {each[:7] for each in found if "." in each} == {"m_mid.$", "m_mid.1"}
    assert len(found) == len({each.lower() for each in found})


@pytest.mark.parametrize("form", ["t_id.", "t_mid.", "m_mid.$", "m_mid.1"])
def test_what_has_an_older_id_is_found_by_it(many: Graph, form: str) -> None:
    listed = entries(many, "id") if form.startswith("t_") else messages(many, "id")
    named = next(each["id"] for each in listed if each["id"].startswith(form))
    assert many.get(named).json["id"] == named
    if form.startswith("t_"):
        assert many.get(f"{named}/messages").data
    assert many.get(f"{named}0").error["error_subcode"] == 33


def test_a_message_count_is_an_estimate(many: Graph) -> None:
    shown = {each["conversation_id"]: len(each["message_ids"]) for each in many.open("/sandbox/inbox").json}
    off = [each["message_count"] - shown[each["id"]] for each in entries(many, "message_count")]
    assert set(off) == {0, 1}


def test_some_instagram_people_have_a_user_id_too(many: Graph) -> None:
    people = [
        person
        for entry in entries(many, "participants", "instagram")
        for person in entry["participants"]["data"]
    ]
    assert {frozenset(each) for each in people} == {
        frozenset({"username", "id"}),
        frozenset({"username", "id", "user_id"}),
    }


def contacts(served: Graph, platform: str) -> list[dict[str, Json]]:
    own = {served.page_id, served.ready["pages"][0]["instagram_id"]}
    people = (each["participants"]["data"] for each in entries(served, "participants", platform))
    return [person for each in people for person in each if person["id"] not in own]


def test_a_person_has_another_id_on_each_platform(many: Graph) -> None:
    messenger, instagram = ({each["id"] for each in contacts(many, name)} for name in PLATFORMS)
    assert not messenger & instagram


def test_the_ids_of_messenger_people_are_more_than_a_double_holds(many: Graph) -> None:
    assert {int(each["id"]) > 2**53 for each in contacts(many, "messenger")} == {True}


def test_an_instagram_profile_needs_consent(many: Graph) -> None:
    answers = [many.get(each["id"], fields="name,username") for each in contacts(many, "instagram")[:200]]
    assert {each.status for each in answers} == {200, 403}
    assert {each.error["code"] for each in answers if each.status == 403} == {230}
    assert {frozenset(each.json) for each in answers if each.status == 200} == {
        frozenset({"name", "username", "id"})
    }


def test_before_is_absent_at_the_top_of_some_message_lists(many: Graph) -> None:
    paging = [each["messages"]["paging"] for each in entries(many, "messages.limit(2){id}")]
    assert {frozenset(each["cursors"]) for each in paging} == {
        frozenset({"after"}),
        frozenset({"after", "before"}),
    }


def test_an_attachment_may_be_a_placeholder_without_a_url(many: Graph) -> None:
    names = [set(each) for each in attached(many, "messenger") if "Europe" in each.get("name", "")]
    assert names
    assert names == [{"id", "name"}] * len(names)


def test_instagram_images_often_have_only_a_url(many: Graph) -> None:
    images = {frozenset(each["image_data"]) for each in attached(many, "instagram") if "image_data" in each}
    assert frozenset({"url"}) in images
    assert len(images) == 2


def test_a_template_spells_its_picture_as_the_reference_does(many: Graph) -> None:
    found = [each["generic_template"] for each in attached(many, "messenger") if "generic_template" in each]
    assert {frozenset(each) for each in found} == {frozenset({"title", "subtitle", "medial_url", "cta"})}


def test_instagram_messages_may_be_unsupported_in_either_spelling(many: Graph) -> None:
    found = [
        each["is_unsupported"] for each in messages(many, "is_unsupported", "instagram") if len(each) > 1
    ]
    assert {json.dumps(each) for each in found} == {"true", '"true"'}


def test_stickers_are_a_url_an_attachment_or_both(many: Graph) -> None:
    fields = "sticker,attachments{type,sticker_id}"
    found = [
        each
        for each in messages(many, fields)
        if "sticker" in each or each.get("attachments", {}).get("data", [{}])[0].get("type") == "sticker"
    ]
    assert {frozenset(each) - {"id"} for each in found} == {
        frozenset({"sticker"}),
        frozenset({"attachments"}),
        frozenset({"sticker", "attachments"}),
    }
    entries = [each["attachments"]["data"][0] for each in found if "attachments" in each]
    assert {frozenset(each) for each in entries} == {frozenset({"id", "type", "sticker_id"})}
    assert all(each["sticker_id"].isdecimal() for each in entries)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_by_switch_every_sticker_is_an_attachment_or_none(graph: StartGraph, share: float) -> None:
    served = graph(conversations=200, messages=(20, 20), sticker_attachments=share)
    found = list(messages(served, "sticker,attachments{type}"))
    attached = [
        each for each in found if each.get("attachments", {}).get("data", [{}])[0].get("type") == "sticker"
    ]
    urls = [each for each in found if "sticker" in each and each not in attached]
    assert (bool(attached), bool(urls)) == (share == 1.0, share == 0.0)


def test_a_post_of_instagram_is_an_attachment_and_no_share(many: Graph) -> None:
    found = list(messages(many, "shares,attachments{type,ig_post_media_id,title,url}", "instagram"))
    posts = [
        each for each in found if each.get("attachments", {}).get("data", [{}])[0].get("type") == "ig_post"
    ]
    assert posts
    assert not any("shares" in each for each in posts)
    assert {frozenset(each["attachments"]["data"][0]) for each in posts} == {
        frozenset({"id", "type", "ig_post_media_id", "title", "url"})
    }
    assert any("shares" in each for each in found)


def test_instagram_messages_may_answer_or_mention_a_story(many: Graph) -> None:
    stories = [each["story"] for each in messages(many, "story", "instagram") if "story" in each]
    assert {frozenset(each) for each in stories} == {frozenset({"reply_to"}), frozenset({"mention"})}
    assert {frozenset(part) for each in stories for part in each.values()} == {frozenset({"link", "id"})}


def test_messenger_knows_neither(many: Graph) -> None:
    assert {frozenset(each) for each in messages(many, "story,is_unsupported")} == {frozenset({"id"})}


def test_only_the_inner_fields_asked_for_are_served_however_deep(many: Graph) -> None:
    asked = "attachments{image_data{url},generic_template{cta{type}}}"
    parts = [
        part
        for each in messages(many, asked)
        for part in each.get("attachments", {}).get("data", [])
        if len(part) > 1
    ]
    assert {frozenset(each) for each in parts} == {
        frozenset({"id", "image_data"}),
        frozenset({"id", "generic_template"}),
    }
    assert {frozenset(each["image_data"]) for each in parts if "image_data" in each} == {frozenset({"url"})}
    assert {frozenset(each["generic_template"]["cta"]) for each in parts if "generic_template" in each} == {
        frozenset({"type"})
    }


@pytest.mark.parametrize(
    "fields",
    [
        "updated_time{x}",
        "messages{message{x}}",
        "messages{attachments{image_data{colour}}}",
        "messages{attachments{generic_template{cta{colour}}}}",
        "messages{reply_to{link}}",
        "messages{story{reply_to{mid}}}",
        "messages{reactions{users{age}}}",
    ],
)
def test_an_unknown_inner_field_is_refused_even_if_no_entry_could_have_it(
    graph: StartGraph, fields: str
) -> None:
    answer = graph(conversations=1, messages=(1, 1)).inbox(fields=fields)
    assert (answer.status, answer.error["code"]) == (400, 100)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_field_of_the_reference_may_be_asked_for(graph: StartGraph, platform: str) -> None:
    fields = (
        "can_reply,folder,former_participants,id,is_owner,is_subscribed,link,linked_group,message_count,name,"
        "participants.limit(2){id,name,email,username,user_id},scoped_thread_key,senders{id},snippet,"
        "unread_count,updated_time,wallpaper,messages.limit(3){id,created_time,from{id},to{id},message,"
        "attachments{id,image_data{url},video_data{url},generic_template{cta{url}}},"
        "shares{id,link,name,description,picture,template{title}},sticker,tags{name},"
        "reactions{reaction,users{id,username}},story{reply_to{link,id},mention{link,id}},"
        "reply_to{mid,is_self_reply},is_unsupported}"
    )
    assert len(graph(conversations=9).inbox(platform=platform, fields=fields).data) == 9


# The body


def packed(served: Graph, path: str, **headers: str) -> tuple[str | None, bytes]:
    connection = HTTPConnection(urlsplit(served.url).netloc, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", f"/v27.0/{path}?access_token={served.token}", headers=headers)
        response = connection.getresponse()
        return response.headers["Content-Encoding"], response.read()
    finally:
        connection.close()


def test_a_client_that_accepts_gzip_gets_it(graph: StartGraph) -> None:
    served = graph(conversations=60)
    plain = packed(served, "me/conversations")
    encoding, body = packed(served, "me/conversations", **{"Accept-Encoding": "gzip, deflate"})
    assert (plain[0], encoding) == (None, "gzip")
    assert len(body) < len(plain[1])
    assert gzip.decompress(body) == plain[1]


def test_a_small_answer_is_not_worth_packing(graph: StartGraph) -> None:
    assert packed(graph(conversations=1), "me", **{"Accept-Encoding": "gzip"})[0] is None
