"""Three public SDKs, unmodified: what works with Meta works here."""

import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    # facebook-sdk 3.1.0 has an invalid escape sequence.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", SyntaxWarning)
    import facebook
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.unifiedthread import UnifiedThread
from facebook_business.adobjects.user import User
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession
from pyfacebook import FacebookApi, FacebookError, GraphAPI

from tests.sandbox.fixtures import Graph, Parameter, StartGraph

CONVERSATIONS = 340


@pytest.fixture
def old(graph: StartGraph, monkeypatch: pytest.MonkeyPatch) -> StartGraph:
    """facebook-sdk: asks for v2.8 to v3.1."""

    def start(**switches: object) -> Graph:
        served = graph(**switches)
        monkeypatch.setattr(facebook, "FACEBOOK_GRAPH_URL", f"{served.url}/")
        return served

    return start


@pytest.fixture
def official(graph: StartGraph, monkeypatch: pytest.MonkeyPatch) -> StartGraph:
    """facebook-business: Meta's own."""

    def start(**switches: object) -> Graph:
        served = graph(**switches)
        monkeypatch.setattr(FacebookSession, "GRAPH", served.url)
        return served

    return start


def official_api(served: Graph, token: str | None = None, secret: str | None = None) -> FacebookAdsApi:
    return FacebookAdsApi(FacebookSession(app_secret=secret, access_token=token or served.token))


def python_facebook(served: Graph, token: str | None = None) -> FacebookApi:
    return FacebookApi(
        app_id=served.ready["app_id"],
        app_secret=served.ready["app_secret"],
        access_token=token or served.token,
        base_url=f"{served.url}/",
        access_token_url=f"{served.url}/oauth/access_token",
    )


def all_ids(served: Graph, **parameters: Parameter) -> list[str]:
    return [entry["id"] for answer in served.scan(limit=200, **parameters) for entry in answer.data]


def deepest(served: Graph) -> tuple[str, int]:
    shown = served.open("/sandbox/inbox").json
    return max(
        ((each["conversation_id"], len(each["message_ids"])) for each in shown), key=lambda each: each[1]
    )


# facebook-sdk


@pytest.mark.parametrize("version", facebook.VALID_API_VERSIONS)
def test_facebook_sdk_is_served_at_every_version_it_knows(old: StartGraph, version: str) -> None:
    served = old(conversations=3)
    api = facebook.GraphAPI(served.token, version=version)
    assert api.get_object("me")["id"] == served.page_id
    assert api.get_version() == "21.0"


@pytest.mark.parametrize("limit", [50, 100])
def test_facebook_sdk_scans_the_whole_list(old: StartGraph, limit: int) -> None:
    served = old(conversations=CONVERSATIONS)
    api = facebook.GraphAPI(served.token)
    entries = api.get_all_connections(
        served.page_id, "conversations", limit=limit, fields="participants,updated_time"
    )
    assert [each["id"] for each in entries] == all_ids(served)


def test_facebook_sdk_reads_a_conversation_whole(old: StartGraph) -> None:
    served = old(conversations=200, messages=(120, 130))
    thread_id, count = deepest(served)
    api = facebook.GraphAPI(served.token)
    messages = list(api.get_all_connections(thread_id, "messages", fields="message,from", limit=50))
    assert len({each["id"] for each in messages}) == len(messages) == count


def test_facebook_sdk_finds_the_pages_of_its_user(old: StartGraph) -> None:
    served = old(conversations=1, pages=30)
    api = facebook.GraphAPI(served.ready["user_token"])
    found = {each["id"]: each["access_token"] for each in api.get_all_connections("me", "accounts")}
    assert found == {each["page_id"]: each["token"] for each in served.ready["pages"]}


def test_facebook_sdk_reads_several_objects_at_once(old: StartGraph) -> None:
    served = old(conversations=60, legacy=True)
    ids = all_ids(served)[:50]
    assert set(facebook.GraphAPI(served.token).get_objects(ids, fields="message_count")) == set(ids)


def test_facebook_sdk_no_longer_reads_several_objects_at_once_as_with_meta(old: StartGraph) -> None:
    served = old(conversations=2)
    with pytest.raises(facebook.GraphAPIError, match="ids is deprecated"):
        facebook.GraphAPI(served.token).get_objects(all_ids(served))


def test_facebook_sdk_looks_at_a_token(old: StartGraph) -> None:
    served = old(conversations=1)
    app = served.ready["app_id"], served.ready["app_secret"]
    shown = facebook.GraphAPI().debug_access_token(served.token, *app)["data"]
    assert (shown["is_valid"], shown["profile_id"], shown["app_id"]) == (True, served.page_id, app[0])


def test_facebook_sdk_extends_a_token(old: StartGraph) -> None:
    served = old(conversations=1)
    app = served.ready["app_id"], served.ready["app_secret"]
    extended = facebook.GraphAPI(served.ready["user_token"]).extend_access_token(*app)
    assert facebook.GraphAPI(extended["access_token"]).get_object("me")["name"] == "Sandbox Owner"


def test_facebook_sdk_gets_the_app_its_token(old: StartGraph) -> None:
    served = old(conversations=1)
    app = served.ready["app_id"], served.ready["app_secret"]
    assert facebook.GraphAPI().get_app_access_token(*app) == served.ready["app_token"]


def test_facebook_sdk_knows_its_permissions(old: StartGraph) -> None:
    served = old(conversations=1)
    api = facebook.GraphAPI(served.ready["user_token"])
    assert "pages_messaging" in api.get_permissions("me")


@pytest.mark.parametrize(
    ("token", "path", "code"),
    [("EAAwrong", "me", 190), (None, "t_1", 100), (None, "me/conversations?fields=(", 2500)],
)
def test_facebook_sdk_raises_its_own_error(old: StartGraph, token: str | None, path: str, code: int) -> None:
    served = old(conversations=1)
    with pytest.raises(facebook.GraphAPIError) as caught:
        facebook.GraphAPI(token or served.token).get_object(path)
    assert caught.value.code == code


# facebook-business


@pytest.mark.parametrize("limit", [50, 100])
def test_facebook_business_scans_the_whole_list(official: StartGraph, limit: int) -> None:
    served = official(conversations=CONVERSATIONS)
    page = Page(served.page_id, api=official_api(served))
    params = {"platform": UnifiedThread.Platform.messenger, "limit": limit}
    entries = page.get_conversations(fields=["participants", "message_count"], params=params)
    assert [each["id"] for each in entries] == all_ids(served)


def test_facebook_business_scans_all_of_instagram(official: StartGraph) -> None:
    served = official(conversations=CONVERSATIONS)
    page = Page(served.page_id, api=official_api(served))
    entries = page.get_conversations(params={"platform": UnifiedThread.Platform.instagram, "limit": 100})
    assert [each["id"] for each in entries] == all_ids(served, platform="instagram")


def test_facebook_business_reads_every_field_it_knows(official: StartGraph) -> None:
    served = official(conversations=3)
    fields = [name for name in vars(UnifiedThread.Field).values() if name in UnifiedThread._field_types]
    thread = UnifiedThread(all_ids(served)[0], api=official_api(served)).api_get(fields=fields)
    assert thread["participants"]["data"]


def test_facebook_business_reads_a_conversation_whole(official: StartGraph) -> None:
    served = official(conversations=200, messages=(120, 130))
    thread_id, count = deepest(served)
    messages = UnifiedThread(thread_id, api=official_api(served)).get_messages(params={"limit": 50})
    assert len({each["id"] for each in messages}) == count


def test_facebook_business_finds_the_pages_of_its_user(official: StartGraph) -> None:
    served = official(conversations=1, pages=30)
    accounts = User("me", api=official_api(served, served.ready["user_token"])).get_accounts()
    assert {each["id"] for each in accounts} == {each["page_id"] for each in served.ready["pages"]}
    assert accounts.total() == 30


def test_facebook_business_gets_each_answer_of_a_batch(official: StartGraph) -> None:
    served = official(conversations=60)
    ids = all_ids(served)[:50]
    answers: list[Any] = []  # objects of the SDK, which has no types
    api = official_api(served)
    batch = api.new_batch()
    for thread_id in ids:
        UnifiedThread(thread_id, api=api).api_get(fields=["snippet"], batch=batch, success=answers.append)
    assert batch.execute() is None
    assert [each.json()["id"] for each in answers] == ids


def test_facebook_business_learns_which_calls_of_a_batch_failed(official: StartGraph) -> None:
    served = official(conversations=1)
    api = official_api(served)
    answers: list[Any] = []  # objects of the SDK, which has no types
    failures: list[Any] = []
    batch = api.new_batch()
    for thread_id in ("t_1", all_ids(served)[0]):
        thread = UnifiedThread(thread_id, api=api)
        thread.api_get(batch=batch, success=answers.append, failure=failures.append)
    batch.execute()
    assert (len(answers), [each.error().api_error_subcode() for each in failures]) == (1, [33])


def test_facebook_business_proves_that_it_has_the_secret(official: StartGraph) -> None:
    served = official(conversations=CONVERSATIONS, require_proof=True)
    api = official_api(served, secret=served.ready["app_secret"])
    assert len(list(Page(served.page_id, api=api).get_conversations(params={"limit": 100}))) == CONVERSATIONS


@pytest.mark.parametrize(
    ("switches", "code", "subcode", "status"),
    [
        ({"standard_access": True}, -2, 2534084, 400),
        ({"high_volume": True}, 1, 99, 500),
        ({"require_proof": True}, 100, None, 400),
    ],
)
def test_facebook_business_raises_its_own_error(
    official: StartGraph, switches: dict[str, object], code: int, subcode: int | None, status: int
) -> None:
    served = official(conversations=1, **switches)
    page = Page(served.page_id, api=official_api(served))
    with pytest.raises(FacebookRequestError) as caught:
        page.get_conversations(params={"platform": "INSTAGRAM"})
    error = caught.value
    assert (error.api_error_code(), error.api_error_subcode(), error.http_status()) == (code, subcode, status)


# python-facebook-api


@pytest.mark.parametrize("limit", [50, 100])
def test_python_facebook_scans_the_whole_list(graph: StartGraph, limit: int) -> None:
    served = graph(conversations=CONVERSATIONS)
    found = python_facebook(served).get_full_connections(
        served.page_id, "conversations", count=None, limit=limit, fields="participants"
    )
    assert [each["id"] for each in found["data"]] == all_ids(served)


def test_python_facebook_reads_a_conversation_whole(graph: StartGraph) -> None:
    served = graph(conversations=200, messages=(120, 130))
    thread_id, count = deepest(served)
    found = python_facebook(served).get_full_connections(thread_id, "messages", count=None, limit=50)
    assert len({each["id"] for each in found["data"]}) == count


def test_python_facebook_reads_conversations_by_their_ids(graph: StartGraph) -> None:
    served = graph(conversations=50, legacy=True)
    ids = all_ids(served)
    found = python_facebook(served).conversation.get_batch(ids)
    assert [found[each].id for each in ids] == ids


def test_python_facebook_no_longer_reads_conversations_by_their_ids_as_with_meta(graph: StartGraph) -> None:
    served = graph(conversations=2)
    with pytest.raises(FacebookError, match="ids is deprecated"):
        python_facebook(served).conversation.get_batch(all_ids(served))


def test_python_facebook_reads_one_message(graph: StartGraph) -> None:
    served = graph(conversations=1)
    newest = served.get(f"{all_ids(served)[0]}/messages").data[0]
    assert python_facebook(served).message.get_info(newest["id"]).created_time == newest["created_time"]


def test_python_facebook_finds_the_pages_of_its_user(graph: StartGraph) -> None:
    served = graph(conversations=1, pages=30)
    api = python_facebook(served, served.ready["user_token"])
    found = api.user.get_accounts("me", count=None, summary=True, return_json=True)
    assert [each["id"] for each in found["data"]] == [each["page_id"] for each in served.ready["pages"]]
    assert found["summary"] == {"total_count": 30}


def test_python_facebook_gets_a_page_its_token(graph: StartGraph) -> None:
    served = graph(conversations=1)
    api = python_facebook(served, served.ready["user_token"])
    assert api.exchange_page_access_token(served.page_id) == served.token


def test_python_facebook_looks_at_a_token(graph: StartGraph) -> None:
    served = graph(conversations=1)
    shown = python_facebook(served).debug_token(served.token, served.ready["app_token"])["data"]
    assert (shown["type"], shown["is_valid"], shown["profile_id"]) == ("PAGE", True, served.page_id)


def test_python_facebook_extends_a_token(graph: StartGraph) -> None:
    served = graph(conversations=1)
    api = python_facebook(served, served.ready["user_token"])
    extended = api.exchange_long_lived_user_access_token()
    assert (extended["token_type"], extended["expires_in"]) == ("bearer", 5183944)


def test_python_facebook_gets_the_app_its_token(graph: StartGraph) -> None:
    served = graph(conversations=1)
    assert python_facebook(served).get_app_token()["access_token"] == served.ready["app_token"]


@pytest.mark.parametrize("version", [*GraphAPI.VALID_API_VERSIONS, "v27.0"])
def test_python_facebook_is_served_at_every_version_it_knows(graph: StartGraph, version: str) -> None:
    served = graph(conversations=1)
    api = FacebookApi(access_token=served.token, base_url=f"{served.url}/", version=version)
    assert api.page.get_info(served.page_id).id == served.page_id


@pytest.mark.parametrize(
    ("token", "object_id", "code", "subcode"), [("EAAwrong", "me", 190, None), (None, "t_1", 100, 33)]
)
def test_python_facebook_raises_its_own_error(
    graph: StartGraph, token: str | None, object_id: str, code: int, subcode: int | None
) -> None:
    served = graph(conversations=1)
    with pytest.raises(FacebookError) as caught:
        python_facebook(served, token).conversation.get_info(object_id)
    assert (caught.value.code, getattr(caught.value, "error_subcode", None)) == (code, subcode)


def test_python_facebook_reads_the_usage_headers(graph: StartGraph) -> None:
    served = graph(conversations=1, limits=True, engaged_users=1)
    api = FacebookApi(access_token=served.token, base_url=f"{served.url}/", sleep_on_rate_limit=False)
    for _ in range(4):
        try:
            api.get_connection(served.page_id, "conversations")
        except FacebookError as error:
            assert error.code == 613  # noqa: PT017 - the call rate is not this test's claim
    assert api.rate_limit.resources["business"][served.page_id]["messenger"].call_count == 2
