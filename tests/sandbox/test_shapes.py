"""Keys and types of what Meta really answered, as others recorded it."""

import json
from pathlib import Path

import pytest

from tests.fixtures import Json
from tests.sandbox.fixtures import Graph, StartGraph

RECORDED = Path(__file__).parents[3] / "shared" / "fixtures"

pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded answers are not beside this checkout (../shared/fixtures)"
)


def recorded(name: str) -> Json:
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


def shape(value: Json) -> Json:
    """Keys and types; of a list, the shape of its first entry."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def differences(ours: Json, theirs: Json, at: str = "") -> list[str]:
    """Where two shapes differ, except for a list that is empty on one side."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            *(f"{at}.{name}: only ours" for name in ours.keys() - theirs.keys()),
            *(f"{at}.{name}: only theirs" for name in theirs.keys() - ours.keys()),
            *(
                found
                for name in ours.keys() & theirs.keys()
                for found in differences(ours[name], theirs[name], f"{at}.{name}")
            ),
        ]
    if isinstance(ours, list) and isinstance(theirs, list):
        return differences(ours[0], theirs[0], f"{at}[]") if ours and theirs else []
    return [] if ours == theirs else [f"{at}: {ours} here, {theirs} there"]


def compare(ours: Json, theirs: Json) -> list[str]:
    return differences(shape(ours), shape(theirs))


@pytest.fixture
def served(graph: StartGraph) -> Graph:
    return graph(conversations=300, messages=(1, 14), pages=3)


@pytest.fixture
def whole(served: Graph) -> Json:
    """A conversation with two people in it, and a text last."""
    fields = ",".join(recorded("python-facebook/facebook_models_conversation.json"))
    entries = served.inbox(limit=200, fields=fields).data
    return next(
        each
        for each in entries
        if "snippet" in each and [len(person) for person in each["participants"]["data"]] == [3, 3]
    )


def message_with(served: Graph, part: str) -> Json:
    """A message with such an attachment, asked for as the recorded one was."""
    fields = "messages.limit(14){created_time,from,to,tags,attachments}"
    for answer in served.scan(limit=100, fields=fields):
        for entry in answer.data:
            for message in entry["messages"]["data"]:
                attachments = message.get("attachments", {}).get("data", [{}])
                is_whole = len(message.get("from", {})) == len(message["to"]["data"][0]) == 3
                if part in attachments[0] and is_whole:
                    return message
    raise AssertionError(f"no message has {part}")


def test_a_conversation_has_the_recorded_shape(whole: Json) -> None:
    assert compare(whole, recorded("python-facebook/facebook_models_conversation.json")) == []


def test_people_have_the_recorded_shape(whole: Json) -> None:
    theirs = recorded("python-facebook/facebook_models_conversation.json")["participants"]
    for ours in (whole["participants"], whole["senders"]):
        assert compare(ours, theirs) == []


def test_a_few_fields_of_a_conversation_have_the_recorded_shape(served: Graph, whole: Json) -> None:
    theirs = recorded("python-facebook/facebook_apidata_conversations_cvs_info.json")
    assert compare(served.get(whole["id"], fields=",".join(theirs)).json, theirs) == []


def test_conversations_by_their_ids_have_the_recorded_shape(graph: StartGraph) -> None:
    theirs = recorded("python-facebook/facebook_apidata_conversations_cvses_info.json")
    served = graph(conversations=3, legacy=True)
    listed = served.inbox(limit=1).data[0]["id"]
    ours = served.get("", ids=listed, fields=",".join(next(iter(theirs.values())))).json
    assert list(ours) == [listed]
    assert compare(ours[listed], next(iter(theirs.values()))) == []


def test_a_message_with_an_image_has_the_recorded_shape(served: Graph) -> None:
    theirs = recorded("python-facebook/facebook_apidata_messages_message_info.json")
    found = compare(message_with(served, "image_data"), theirs)
    # Images have been seen with a size and with null (graph-facts 1.6).
    assert [each for each in found if not each.startswith(".attachments.data[].size: NoneType")] == []


def test_a_message_with_a_video_has_the_recorded_shape(served: Graph) -> None:
    theirs = recorded("python-facebook/facebook_apidata_messages_messages_info.json")
    (video,) = (each for each in theirs.values() if "video_data" in each["attachments"]["data"][0])
    assert compare(message_with(served, "video_data"), video) == []


def test_a_text_is_recorded_as_text(served: Graph) -> None:
    theirs = recorded("python-facebook/facebook_models_message.json")["message"]
    entries = served.inbox(fields="messages{message}").data
    texts = [each["message"] for entry in entries for each in entry["messages"]["data"] if "message" in each]
    assert {type(each) for each in texts} == {type(theirs)}


def test_nested_messages_have_the_recorded_keys(served: Graph) -> None:
    theirs = recorded("fb_graph2/page_conversations.json")["data"][0]["messages"]["data"][0]
    entries = served.inbox(limit=50, fields="messages{id,created_time,tags,from,to,message}").data
    ours = [each for entry in entries for each in entry["messages"]["data"]]
    assert any(compare(each, theirs) == [] for each in ours)


def test_accounts_have_the_recorded_shape(served: Graph) -> None:
    token = served.ready["user_token"]
    first = served.get("me/accounts", access_token=token, limit=2, summary="true")
    theirs = recorded("python-facebook/facebook_apidata_users_user_accounts_p1.json")
    assert compare(first.json, theirs) == []


def test_the_last_accounts_have_the_recorded_shape(served: Graph) -> None:
    token = served.ready["user_token"]
    first = served.get("me/accounts", access_token=token, limit=2, summary="true")
    theirs = recorded("python-facebook/facebook_apidata_users_user_accounts_p2.json")
    assert compare(served.open(first.paging["next"]).json, theirs) == []


def test_accounts_that_fit_one_answer_have_the_recorded_shape(served: Graph) -> None:
    ours = served.get("me/accounts", access_token=served.ready["user_token"])
    assert compare(ours.json, recorded("python-facebook/base_user_accounts_token.json")) == []


@pytest.mark.parametrize("token", ["user_token", "token"])
def test_a_living_token_is_described_in_the_recorded_shape(served: Graph, token: str) -> None:
    theirs = recorded("python-facebook/base_token_info.json")
    app = served.ready["app_token"]
    ours = served.get("debug_token", input_token=served.ready[token], access_token=app).json
    ours["data"].pop("profile_id", None)  # the recorded one is a person's
    assert compare(ours, theirs) == []


def test_a_page_token_names_its_page_where_the_recorded_one_does(served: Graph) -> None:
    theirs = recorded("fb_graph2/token_metadata_page_token.json")["data"]
    ours = served.get("debug_token", input_token=served.token).json["data"]
    assert theirs.keys() <= ours.keys()


def test_the_apps_token_has_the_recorded_keys(served: Graph) -> None:
    theirs = recorded("fb_graph2/token_metadata_app_token.json")["data"]
    app = served.ready["app_token"]
    assert theirs.keys() <= served.get("debug_token", input_token=app).json["data"].keys()


def test_a_dead_token_is_described_in_the_recorded_shape(served: Graph) -> None:
    theirs = recorded("fb_graph2/token_metadata_invalid_token.json")
    served.control("tokens", kill=467)
    app = served.ready["app_token"]
    ours = served.get("debug_token", input_token=served.token, access_token=app).json
    assert [each for each in compare(ours, theirs) if "only theirs" in each or "here" in each] == []


def test_a_long_lived_token_has_the_recorded_shape(served: Graph) -> None:
    ours = served.get(
        "oauth/access_token",
        access_token=None,
        grant_type="fb_exchange_token",
        client_id=served.ready["app_id"],
        client_secret=served.ready["app_secret"],
        fb_exchange_token=served.ready["user_token"],
    )
    assert compare(ours.json, recorded("python-facebook/base_long_term_token.json")) == []


@pytest.mark.parametrize("name", ["base_error_data.json", "error.json"])
def test_an_error_has_the_recorded_shape(served: Graph, name: str) -> None:
    ours = served.inbox(fields="nothing").json
    assert compare(ours, recorded(f"python-facebook/{name}")) == []


@pytest.mark.parametrize(
    ("name", "path"), [("error_400_2500.json", "me"), ("error_400_191.json", "oauth/access_token")]
)
def test_an_old_error_has_the_recorded_text(served: Graph, name: str, path: str) -> None:
    app = {"client_id": served.ready["app_id"], "client_secret": served.ready["app_secret"]}
    ours = served.get(path, access_token=None, **app)
    theirs = recorded(f"fb_graph2/{name}")["error"]
    assert (ours.status, theirs.items() <= ours.error.items()) == (400, True)
