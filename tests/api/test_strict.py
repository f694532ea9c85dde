"""The API is strict: a request that would be misread is refused, with the name of what is wrong."""

import random
import re
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import quote

import pytest

from inboxsync.api.conversations import Folder
from inboxsync.api.schemas import encode_cursor
from inboxsync.model import (
    Conversation,
    Message,
    Page,
    Participant,
    Platform,
    RunRequest,
    Scope,
)
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.state.runs import get_run
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.sync.plan import FOLDERS
from inboxsync.workers import RunQueue
from tests.api.fixtures import Api
from tests.fixtures import Json

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LISTS = ("conversations", "contacts", "runs", "messages/search?q=hello")


def fill(api: Api, page: Page, count: int, *, folder: str = "inbox", prefix: str = "t") -> None:
    """So many conversations of a message each, a minute apart; every second one is unread."""
    conversations = []
    for number in range(count):
        person = Participant(id=f"{page.facebook_page_id}{number}", name=f"Ann {number}")
        at = NOON - timedelta(minutes=number)
        message = Message(
            message_id=f"m_{prefix}{number}", sent_at=at, sender_id=person.id, text=f"hello {number}"
        )
        conversations.append(
            Conversation(
                conversation_id=f"{prefix}_{number}",
                contact=person,
                participants=(person,),
                messages=(message,),
                source_updated_at=at,
                unread_count=number % 2,
            )
        )
    with api.engine.store.write() as connection:
        upsert_batch(connection, page, conversations, folder=folder, source="initial_sync", now=NOON)
    api.engine.derive()


def address(path: str, **params: str) -> str:
    joint = "&" if "?" in path else "?"
    return f"/api/v1/{path}{joint}{'&'.join(f'{name}={value}' for name, value in params.items())}"


def refused(answer: Json, at: str) -> str:
    """What the answer says about the name that is wrong."""
    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "request_invalid"), answer.text
    (wrong,) = told["errors"]
    assert wrong["at"] == at
    assert at in told["detail"]
    return str(wrong["problem"])


@pytest.mark.parametrize(
    ("path", "name", "nearest"),
    [
        ("contacts", "hasfone", "hasPhone"),
        ("contacts", "HasPhone", "hasPhone"),
        ("conversations", "updated-since", "updatedSince"),
        ("conversations", "pages", "page"),
        ("conversations", "pageid", ""),
        ("runs", "status", ""),
        ("pages", "page", ""),
        ("messages/search?q=x", "folder", ""),
        ("runs/0190", "limit", ""),
        ("pages/0190/verification", "page", ""),
    ],
)
def test_an_unknown_parameter_is_refused_by_its_name(api: Api, path: str, name: str, nearest: str) -> None:
    if name == "pageid":
        # A Page's name in a third spelling is understood: it can only mean one thing.
        assert api.get(address(path, pageid="nosuch")).json()["code"] == "page_unknown"
        return
    problem = refused(api.get(address(path, **{name: "1"})), f"query.{name}")
    assert nearest in problem


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "sent", ["limit=5&limit=6", "limit=5&limit=5", "page=a&pageId=a", "page_id=a&page=a"]
)
def test_a_repeated_parameter_is_refused_by_its_name(api: Api, path: str, sent: str) -> None:
    joint = "&" if "?" in path else "?"
    assert "more than once" in refused(
        api.get(f"/api/v1/{path}{joint}{sent}"), f"query.{re.findall('([a-zA-Z_]+)=', sent)[1]}"
    )


def test_true_and_false_at_once_is_refused(api: Api) -> None:
    refused(api.get("/api/v1/conversations?unread=true&unread=false"), "query.unread")


def test_every_spelling_of_a_parameter_means_the_same(api: Api) -> None:
    page, other = api.page("104"), api.page("105")
    fill(api, page, 3)
    fill(api, other, 2, prefix="o")
    for name in ("page", "pageId", "page_id"):
        assert len(api.get(f"/api/v1/conversations?{name}={page.id}").json()["items"]) == 3
        assert len(api.get(f"/api/v1/contacts?{name}={other.id}").json()["items"]) == 2
        assert len(api.get(f"/api/v1/messages/search?q=hello&{name}={other.id}").json()["items"]) == 2
    for name in ("updatedSince", "updated_since"):
        assert api.get(f"/api/v1/conversations?{name}=2030-01-01T00:00:00Z").json()["items"] == []
    for name in ("hasPhone", "has_phone"):
        assert api.get(f"/api/v1/contacts?{name}=true").json()["items"] == []
        refused(api.get(f"/api/v1/contacts?{name}=perhaps"), "query.hasPhone")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("page", ["nosuch", "0190", "%22", "104'", "%00", "", "x" * 300, "%F0%9F%8D%9E"])
def test_an_unknown_page_is_refused(api: Api, path: str, page: str) -> None:
    fill(api, api.page("104"), 2)
    answer = api.get(address(path, page=page))
    assert (answer.status_code, answer.json()["code"]) in [(404, "page_unknown"), (422, "request_invalid")]


@pytest.mark.parametrize("folder", ["nosuch", "INBOX", "", "inbox%20", "done"])
def test_an_unknown_folder_is_refused(api: Api, folder: str) -> None:
    refused(api.get(address("conversations", folder=folder)), "query.folder")


def test_the_folders_are_those_that_are_synced() -> None:
    assert get_args(Folder) == FOLDERS


@pytest.mark.parametrize("path", LISTS)
def test_a_page_is_named_by_our_id_metas_id_or_its_name(api: Api, path: str) -> None:
    page, other = api.page("104"), api.page("105")
    fill(api, page, 3)
    fill(api, other, 2, prefix="o")
    for each in (page, other):
        RunQueue(api.engine).enqueue(each, RunRequest())
    of_page = api.get(address(path, page=page.id)).json()["items"]
    assert {each["pageId"] for each in of_page} == {page.id}
    for named in (page.id.upper(), "104", "Page%20104", "page+104", "%50AGE%20104"):
        assert api.get(address(path, page=named)).json()["items"] == of_page, named


def test_a_name_or_an_id_of_two_pages_is_refused(api: Api) -> None:
    messenger, instagram = api.page("104"), add(api, "104", Platform.INSTAGRAM, "Shop")
    add(api, "106", Platform.MESSENGER, "Shop")
    for named in ("104", "Shop"):
        answer = api.get(address("conversations", page=named))
        assert (answer.status_code, answer.json()["code"]) == (409, "page_ambiguous")
        assert api.client.delete(f"/api/v1/pages/{named}").status_code == 409
    assert api.get(address("conversations", page=messenger.id)).status_code == 200
    assert api.get(address("conversations", page=instagram.id)).status_code == 200


def add(api: Api, meta_id: str, platform: Platform, name: str) -> Page:
    with api.engine.store.write() as connection:
        return upsert_page(
            connection,
            facebook_page_id=meta_id,
            platform=platform,
            account_id=meta_id,
            name=name,
            access_token_encrypted="x",
            now=NOON,
        )[0]


def test_an_id_is_the_same_in_upper_case_in_a_path_a_query_and_a_body(api: Api) -> None:
    page = api.page("104")
    fill(api, page, 2)
    run = api.post(f"/api/v1/pages/{page.id.upper()}/runs", json={}).json()
    assert run["pageId"] == page.id
    upper = run["id"].upper()
    assert api.get(f"/api/v1/runs/{upper}").json()["id"] == run["id"]
    assert api.post(f"/api/v1/runs/{upper}/cancel").json()["status"] == "cancelled"
    for path in (f"runs/{upper}/events", f"pages/{page.id.upper()}", f"contacts/{page.id.upper()}/1040"):
        assert api.get(f"/api/v1/{path}").status_code == 200, path
    stream = api.get(f"/api/v1/runs/{upper}/stream", headers={"Last-Event-ID": f"{upper}.0"})
    assert stream.status_code == 200
    conversation = api.get("/api/v1/conversations").json()["items"][0]["id"]
    for path in (conversation, f"{conversation}/messages"):
        shown = api.get(f"/api/v1/conversations/{path}").json()
        path = path.replace(conversation, conversation.upper())  # noqa: PLW2901
        assert api.get(f"/api/v1/conversations/{path}").json() == shown
    asked = {"pageId": page.id.upper(), "facebookPageId": "104"}
    started = api.post("/api/conversations/sync", json=asked, headers={"Prefer": "respond-async"})
    assert started.status_code == 202


def test_a_page_is_shown_and_removed_by_any_of_its_names(api: Api) -> None:
    for named in ("104", "Page%20104", "page%20104"):
        page = api.page("104")
        assert api.get(f"/api/v1/pages/{named}").json()["id"] == page.id
        assert api.client.delete(f"/api/v1/pages/{named}").status_code == 204
        assert api.get(f"/api/v1/pages/{page.id}").json()["code"] == "page_unknown"


def test_an_offset_may_be_written_with_a_plus_sign(api: Api) -> None:
    fill(api, api.page("104"), 3)
    newest = "2026-06-01T19:00:00"
    for offset, found in (
        ("%2B07:00", 1),
        ("+07:00", 1),
        ("+0700", 1),
        (".5+07:00", 0),
        ("-07:00", 0),
        ("+08:00", 3),
    ):
        for path in ("conversations", "contacts"):
            answer = api.get(address(path, updatedSince=f"{newest}{offset}"))
            assert len(answer.json()["items"]) == found, (offset, answer.text)
    assert len(api.get(address("messages/search?q=hello", since=f"{newest}+07:00")).json()["items"]) == 1
    # A day and a time without a zone stay two parts of one time, whose zone is missing.
    refused(api.get(address("conversations", updatedSince="2026-06-01+07:00")), "query.updatedSince")


# Each list with filters that it can be continued with, and two of them for each.
FILTERED: dict[str, list[dict[str, str]]] = {
    "conversations": [
        {},
        {"page": "PAGE"},
        {"folder": "inbox"},
        {"unanswered": "true"},
        {"updatedSince": "2026-01-01T00:00:00Z"},
        {"page": "PAGE", "folder": "inbox"},
    ],
    "contacts": [{}, {"page": "PAGE"}, {"hasPhone": "false"}, {"hasEmail": "false"}, {"unanswered": "true"}],
    "runs": [{}, {"page": "PAGE"}],
    "messages/search": [
        {"q": "hello"},
        {"q": "hell*"},
        {"q": "hello", "page": "PAGE"},
        {"q": "hello", "order": "rank"},
        {"q": "hello", "since": "2026-01-01T00:00:00Z"},
    ],
}


@pytest.mark.parametrize("path", FILTERED)
def test_a_cursor_belongs_to_its_filter_and_any_limit(api: Api, path: str) -> None:
    one, other = api.page("104"), api.page("105")
    fill(api, one, 6)
    fill(api, other, 2, prefix="o")
    queue = RunQueue(api.engine)
    for page in (one, one, other):
        queue.cancel(queue.enqueue(page, RunRequest()).id)
    filters = [
        {name: one.id if value == "PAGE" else value for name, value in each.items()}
        for each in FILTERED[path]
    ]
    cursors = []
    for each in filters:
        answer = api.get(f"/api/v1/{path}", params=each | {"limit": 1}).json()
        assert answer["nextCursor"], each
        cursors.append(answer["nextCursor"])
    for number, cursor in enumerate(cursors):
        for at, each in enumerate(filters):
            answer = api.get(f"/api/v1/{path}", params=each | {"cursor": cursor, "limit": 2})
            if at == number:
                assert answer.status_code == 200
                assert answer.json()["items"]
                continue
            told = answer.json()
            assert (answer.status_code, told["code"]) == (422, "cursor_invalid"), each
            known, names = filters[number], {*each, *filters[number]}
            differing = {name for name in names if each.get(name) != known.get(name)}
            # Each order is a list of its own.
            expected = {"another list"} if "order" in differing else differing
            assert all(name in told["detail"] for name in expected), (differing, told)
    # The same Page in another spelling is the same filter.
    first = {"q": "hello"} if path == "messages/search" else {}
    kept = cursors[filters.index(first | {"page": one.id})]
    same = first | {"page": "Page 104", "cursor": kept}
    assert api.get(f"/api/v1/{path}", params=same).status_code == 200


def test_a_search_says_how_many_it_has_found(api: Api) -> None:
    fill(api, api.page("104"), 9)
    whole = api.get("/api/v1/messages/search?q=hello").json()
    assert (whole["total"], whole["isTotalExact"]) == (len(whole["items"]), True)
    part = api.get("/api/v1/messages/search?q=hello&limit=2").json()
    assert (part["total"], part["isTotalExact"], len(part["items"])) == (whole["total"], True, 2)
    rest = api.get(f"/api/v1/messages/search?q=hello&limit=2&cursor={part['nextCursor']}").json()
    assert (rest["total"], rest["isTotalExact"]) == (whole["total"], True)
    none = api.get("/api/v1/messages/search?q=hello -hello").json()
    assert (none["total"], none["isTotalExact"], none["items"]) == (0, True, [])


def test_a_list_that_is_continued_with_its_filter_is_whole(api: Api) -> None:
    fill(api, api.page("104"), 9)
    seen: list[str] = []
    cursor = None
    numbers = random.Random(5)  # noqa: S311 - no secret
    while True:
        params = {"limit": numbers.randint(1, 4), "unread": "true"} | ({"cursor": cursor} if cursor else {})
        answer = api.get("/api/v1/conversations", params=params).json()
        seen += [each["conversationId"] for each in answer["items"]]
        cursor = answer["nextCursor"]
        if cursor is None:
            break
    assert seen == ["t_1", "t_3", "t_5", "t_7"]


def test_the_cursor_of_another_runs_events_is_refused(api: Api) -> None:
    queue = RunQueue(api.engine)
    one, other = (queue.enqueue(api.page(each), RunRequest()) for each in ("104", "105"))
    cursor = {"cursor": encode_cursor(f"events {one.id}", "0")}
    assert api.get(f"/api/v1/runs/{one.id}/events", params=cursor).status_code == 200
    answer = api.get(f"/api/v1/runs/{other.id}/events", params=cursor)
    assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ('{"mode": "auto", "mode": "full"}', "body.mode"),
        ('{"maxConversations": 5, "max_conversations": 6}', "body.max_conversations"),
        ('{"maxconversations": 5}', "body.maxconversations"),
        ('{"forceFull": true}', "body.forceFull"),
    ],
)
def test_an_unknown_or_repeated_field_of_a_body_is_refused(api: Api, body: str, at: str) -> None:
    page = api.page()
    refused(api.post(f"/api/v1/pages/{page.id}/runs", content=body, headers=JSON), at)
    assert api.get("/api/v1/runs").json()["items"] == []


def test_a_field_has_two_spellings(api: Api) -> None:
    page = api.page()
    answer = api.post(f"/api/v1/pages/{page.id}/runs", json={"max_conversations": 5})
    assert answer.status_code == 202
    with api.engine.store.read() as connection:
        run = get_run(connection, answer.json()["id"])
    assert run is not None
    assert run.request == RunRequest(max_conversations=5)


@pytest.mark.parametrize("body", ['{"mode": "full"}', "[1]", "mode=full", "x"])
def test_a_body_where_none_belongs_is_refused(api: Api, body: str) -> None:
    page = api.page()
    for method, path in (("POST", f"pages/{page.id}/verify"), ("GET", "conversations"), ("GET", "runs")):
        kind = {"Content-Type": "text/plain"} if body == "x" else JSON
        answer = api.client.request(method, f"/api/v1/{path}", content=body, headers=kind)
        assert refused(answer, "body") == "This address takes no body"
        assert "as JSON" not in answer.json()["hint"]
    for empty in ("", "{}", "null", " {} "):
        answer = api.client.request("GET", "/api/v1/runs", content=empty, headers=JSON)
        assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_a_wrong_name_is_told_only_to_who_has_a_key(api: Api) -> None:
    header = api.key(Scope.READ)
    assert api.get("/api/v1/conversations?nosuch=1").json()["code"] == "key_missing"
    refused(api.get("/api/v1/conversations?nosuch=1", headers=header), "query.nosuch")


def test_what_was_sent_as_a_value_is_not_repeated(api: Api) -> None:
    token = "EAAG" + "s3cret" * 20
    asked = {"pageId": token, "facebookPageId": "104"}
    answers = [
        api.get(f"/api/v1/conversations?access_token={token}"),
        api.get(f"/api/v1/contacts?limit=1&limit={token}"),
        api.get(f"/api/v1/contacts?page={token}"),
        api.get(f"/api/v1/exports/contacts?page={token}"),
        api.post("/api/conversations/sync", json=asked),
    ]
    for answer in answers:
        assert answer.status_code in (404, 422)
        assert "s3cret" not in answer.text


COMPATIBLE = (
    "/api/conversations/sync",
    "/api/conversations/sync-optimized",
    "/api/conversations/sync-stream",
)
AT_ONCE = {"Prefer": "respond-async"}


@pytest.mark.parametrize("path", COMPATIBLE[:2])
def test_the_compatible_endpoints_ignore_fields_that_they_do_not_know(api: Api, path: str) -> None:
    page = api.page()
    asked = {"pageId": page.id, "facebookPageId": "104"}
    for extra in ({"userId": 7}, {"page": 2}, {"meta": {"a": 1}}, {"pageName": "x"}, {"source": None}):
        answer = api.post(f"{path}?t=1&t=2", json=asked | extra, headers=AT_ONCE)
        assert answer.status_code == 202, (extra, answer.text)
    twice = f'{{"pageId": "{page.id}", "pageId": "{page.id}", "facebookPageId": "104", "x": 1, "x": 2}}'
    assert api.post(path, content=twice, headers=JSON | AT_ONCE).status_code == 202


@pytest.mark.parametrize("path", COMPATIBLE)
@pytest.mark.parametrize(
    ("more", "at"),
    [
        ('"facebookPageId": "104", "facebookPageId": "105"', "body.facebookPageId"),
        ('"facebookPageId": "104", "page_id": "0190"', "body.page_id"),
        ('"facebookPageId": "104", "facebookpageid": "104"', "body.facebookpageid"),
    ],
)
def test_the_compatible_endpoints_refuse_what_would_be_misread(
    api: Api, path: str, more: str, at: str
) -> None:
    page = api.page()
    refused(api.post(path, content=f'{{"pageId": "{page.id}", {more}}}', headers=JSON | AT_ONCE), at)
    assert api.get("/api/v1/runs").json()["items"] == []


def test_the_compatible_endpoints_take_both_spellings(api: Api) -> None:
    page = api.page()
    for named in ({"page_id": page.id}, {"page": page.id}, {"pageId": "104"}, {"pageId": "Page 104"}):
        asked = named | {"facebook_page_id": "104", "force_full": True}
        answer = api.post(COMPATIBLE[0], json=asked, headers=AT_ONCE)
        assert answer.status_code == 202, answer.text
        assert api.post(f"/api/v1/runs/{answer.json()['runId']}/cancel").status_code == 200
        with api.engine.store.read() as connection:
            run = get_run(connection, answer.json()["runId"])
        assert run is not None
        assert run.request is not None
        assert run.request.mode.value == "full"


def test_the_stream_reads_both_spellings_in_a_query(api: Api) -> None:
    page, other = api.page("104"), api.page("105")
    run = RunQueue(api.engine).enqueue(page, RunRequest())
    header = {"Last-Event-ID": f"{run.id}.1"}
    for query in (
        "pageId={}&facebookPageId={}",
        "page_id={}&facebook_page_id={}",
        "page={}&facebookPageId={}",
    ):
        sent = query.format(other.id, other.facebook_page_id)
        answer = api.get(f"{COMPATIBLE[2]}?{sent}&_=17", headers=header)
        assert (answer.status_code, answer.json()["code"]) == (409, "page_mismatch"), answer.text
    twice = f"pageId={page.id}&pageId={other.id}&facebookPageId=104"
    refused(api.get(f"{COMPATIBLE[2]}?{twice}", headers=header), "query.pageId")
    full = f"pageId={page.id}&facebookPageId=104&forcefull=true"
    refused(api.get(f"{COMPATIBLE[2]}?{full}", headers=header), "query.forcefull")


# Each list with its parameters and values of theirs.
TAKEN: dict[str, dict[str, tuple[str, ...]]] = {
    "conversations": {
        "page": ("PAGE", "104", "Page 104"),
        "folder": ("inbox", "spam"),
        "updatedSince": ("2026-06-01T18:58:00+07:00", "2026-06-01T11:58:00Z"),
        "unread": ("true", "false"),
        "unanswered": ("true", "false"),
        "limit": ("1", "3"),
    },
    "contacts": {
        "page": ("PAGE", "104", "Page 104"),
        "updatedSince": ("2026-06-01T18:58:00+07:00",),
        "unanswered": ("true", "false"),
        "hasPhone": ("false",),
        "hasEmail": ("true", "false"),
        "limit": ("1", "3"),
    },
    "messages/search": {
        "q": ("hello", "hell*"),
        "page": ("PAGE", "104"),
        "since": ("2026-06-01T18:58:00+07:00",),
        "order": ("newest", "rank"),
        "limit": ("1", "3"),
    },
}
SPELLINGS = {
    "page": ("page", "pageId", "page_id"),
    "updatedSince": ("updatedSince", "updated_since"),
    "hasPhone": ("hasPhone", "has_phone"),
    "hasEmail": ("hasEmail", "has_email"),
}
UNKNOWN = ("nosuch", "Page_Id2", "has-phone", "LIMIT", "status", "q[]", "cursor ", "$where")


@pytest.mark.parametrize("seed", range(12))
def test_in_any_mixture_each_spelling_counts_and_each_wrong_name_is_told(api: Api, seed: int) -> None:
    numbers = random.Random(seed)  # noqa: S311 - no secret
    page = api.page("104")
    fill(api, page, 5)
    fill(api, api.page("105"), 3, prefix="o")
    for _ in range(8):
        path = numbers.choice(list(TAKEN))
        taken = TAKEN[path]
        chosen = {name for name in taken if numbers.random() < 0.5} | ({"q"} & set(taken))
        values = {name: numbers.choice(taken[name]).replace("PAGE", page.id) for name in sorted(chosen)}
        plain = api.get(f"/api/v1/{path}", params=values).json()
        sent = [(numbers.choice(SPELLINGS.get(name, (name,))), value) for name, value in values.items()]
        numbers.shuffle(sent)
        # A plus sign is not escaped, as people type it.
        query = "&".join(f"{name}={quote(value, safe='+:')}" for name, value in sent)
        assert api.get(f"/api/v1/{path}?{query}").json() == plain, query
        wrong: list[str] = []
        for name in numbers.sample(UNKNOWN, numbers.randint(0, 2)):
            sent.insert(numbers.randint(0, len(sent)), (name, "1"))
            wrong.append(name)
        for name, value in (
            numbers.sample([each for each in sent if each[0] not in wrong], 1) if values else []
        ):
            other = numbers.choice(SPELLINGS.get(name, (name,)))
            sent.append((other, value))
            wrong.append(other)
        query = "&".join(f"{quote(name)}={quote(value, safe='+:')}" for name, value in sent)
        answer = api.get(f"/api/v1/{path}?{query}")
        if wrong:
            told = answer.json()
            assert (answer.status_code, told["code"]) == (422, "request_invalid")
            assert sorted(each["at"] for each in told["errors"]) == sorted(f"query.{name}" for name in wrong)
        else:
            assert answer.json() == plain
