"""Every refusal is understood, whatever its words, its code and its shape: cases of public bug reports."""

import json
from datetime import UTC, datetime

import pytest

from inboxsync.errors import (
    AnswerFailed,
    NeedsPerson,
    PageNotVisible,
    PermissionMissing,
    SourceError,
    SourceRefused,
    TokenInvalid,
)
from inboxsync.graph import Access
from inboxsync.graph.requests import _seconds_in
from inboxsync.model import Platform
from tests.fixtures import FakeClock
from tests.graph.fixtures import Fail, Play, Said, Use

ACCESS = Access(page_id="104", platform=Platform.MESSENGER, account_id="104", token="EAAsecret")
INSTAGRAM = Access(page_id="104", platform=Platform.INSTAGRAM, account_id="17841", token="EAAsecret")
LISTED = Said(b'{"data":[]}')


def said(body: object, status: int = 400, **headers: str) -> Said:
    text = body if isinstance(body, str) else json.dumps(body)
    return Said(text.encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def error(code: object, message: str, **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "type": "OAuthException", **more}}


def lists(access: Access = ACCESS) -> Use[object]:
    return lambda client: client.fetch_conversations(access, after=None, limit=7, messages=1)


@pytest.mark.parametrize("name", ["instagram_business_account", "name"])
@pytest.mark.parametrize("code", [12, 100])
def test_a_field_that_is_refused_of_the_page_itself_means_that_it_is_no_page(
    fail: Fail, name: str, code: int
) -> None:
    access = INSTAGRAM if name != "name" else ACCESS
    text = f"(#{code}) Tried accessing nonexisting field ({name}) on node type (User)"
    raised, source = fail(lambda client: client.fetch_page(access), said(error(code, text)))
    assert isinstance(raised, PageNotVisible)
    assert "not a Page" in raised.hint
    assert len(source.asked) == 1


@pytest.mark.parametrize(
    ("code", "message", "gone"),
    [
        (12, "(#12) snippet field is deprecated for versions v26.0 and higher", {"snippet"}),
        (12, "(#12) sticker is deprecated for versions v26.0 and higher", {"sticker"}),
        (100, "(#100) Unknown fields: sticker, reply_to.", {"sticker", "reply_to"}),
        (
            100,
            "(#100) Tentative d'accès à un champ inexistant (snippet) sur le type de noeud (X)",
            {"snippet"},
        ),
        (100, "(#100) Tried accessing nonexisting field (link) on node type (UnifiedThread)", {"link"}),
        (100.0, "(#100) unread_count, message_count", {"unread_count", "message_count"}),
    ],
)
def test_optional_fields_that_are_refused_are_left_out_from_then_on(
    play: Play, code: object, message: str, gone: set[str]
) -> None:
    async def twice(client: object) -> None:
        for _ in range(2):
            await lists()(client)  # type: ignore[arg-type]

    _, source = play(twice, said(error(code, message)), LISTED)
    fields = [
        set(asked["fields"].replace("{", ",").replace("}", ",").split(",")) for asked in source.params()
    ]
    assert len(fields) == 3
    assert gone <= fields[0]
    for left in fields[1:]:
        assert gone.isdisjoint(left)
        assert fields[0] - left == gone


def test_where_no_field_is_named_only_the_required_ones_are_asked_for(play: Play) -> None:
    _, source = play(lists(), said(error(100, "(#100) Một trường không còn được hỗ trợ")), LISTED)
    first, second = (asked["fields"] for asked in source.params())
    assert "snippet" in first
    assert second == "id,updated_time,messages.limit(1){id,created_time,from,message}"


def test_a_refusal_that_stays_is_reported_in_its_first_words_after_few_calls(fail: Fail) -> None:
    raised, source = fail(lists(), said(error(100, "(#100) Something else is wrong")))
    assert isinstance(raised, SourceRefused)
    assert "Something else is wrong" in raised.message
    assert len(source.asked) == 2


@pytest.mark.parametrize("name", ["messages", "updated_time", "created_time"])
def test_a_required_field_that_is_refused_ends_at_once(fail: Fail, name: str) -> None:
    raised, source = fail(lists(), said(error(100, f"(#100) Tried accessing nonexisting field ({name})")))
    assert isinstance(raised, SourceRefused)
    assert len(source.asked) == 1


PERSONS = [
    (5, None, "Unauthorized source IP address", PermissionMissing, "App Dashboard"),
    (15, None, "The method must be called with an app secret", PermissionMissing, "App Dashboard"),
    (21, None, "(#21) Page ID 1 was migrated to page ID 2.", PageNotVisible, "merged"),
    (101, None, "Error validating application.", PermissionMissing, "App Dashboard"),
    (
        190,
        None,
        "This Page access token belongs to a Page that is not accessible.",
        PageNotVisible,
        "Publish",
    ),
    (190, 493, "the user has not engaged the app in longer than 90 days", TokenInvalid, "90 days"),
    (200, 2069030, "Permissions error", PermissionMissing, "me/accounts"),
    (450, None, "Session key invalid", TokenInvalid, "new token"),
    (452, None, "Session key is invalid", TokenInvalid, "new token"),
    (459, None, "The user is checkpointed", TokenInvalid, "Log in at facebook.com"),
    (464, None, "The user is not confirmed", TokenInvalid, "Confirm"),
    (803, None, "(#803) Some of the aliases you requested do not exist", PageNotVisible, "Page id"),
]


@pytest.mark.parametrize(("code", "subcode", "message", "kind", "advice"), PERSONS)
@pytest.mark.parametrize("as_text", [False, True])
def test_what_only_a_person_can_lift_takes_one_call_and_says_what_to_do(
    fail: Fail,
    code: int,
    subcode: int | None,
    message: str,
    kind: type[NeedsPerson],
    advice: str,
    *,
    as_text: bool,
) -> None:
    sent: object = f"{code}.0" if as_text else code
    raised, source = fail(lists(), said(error(sent, message, error_subcode=subcode)))
    assert type(raised) is kind
    assert advice in raised.hint
    assert message in raised.message
    assert len(source.asked) == 1


BAD = {"code": 190, "message": "Invalid OAuth access token."}
SHAPES: list[tuple[object, int]] = [
    ({"error_type": "OAuthException", "code": 190, "error_message": "Invalid OAuth access token."}, 400),
    (
        {
            "meta": {
                "error_type": "OAuthException",
                "code": 190,
                "error_message": "Invalid OAuth access token.",
            }
        },
        400,
    ),
    ({"error": [BAD]}, 400),
    ({"errors": [BAD]}, 400),
    ({"error": json.dumps(BAD)}, 400),
    ({"error": json.dumps({"error": BAD})}, 400),
    ({"error": True, **BAD}, 200),
    ({"error_code": 190, "error_msg": "Invalid OAuth access token."}, 200),
    ({"error": {"code": "190", "message": "Invalid OAuth access token."}}, 400),
    ({"error": {"code": 190.0, "message": "Invalid OAuth access token."}}, 200),
    ([{"code": 400, "body": json.dumps({"error": BAD})}], 200),
    ([{"error": BAD}], 400),
    ({"error": "invalid_token", "error_description": "Invalid OAuth access token."}, 401),
]


@pytest.mark.parametrize(("body", "status"), SHAPES)
def test_a_refused_token_is_understood_in_every_shape(fail: Fail, body: object, status: int) -> None:
    raised, source = fail(lists(), said(body, status))
    assert isinstance(raised, TokenInvalid)
    assert "Invalid OAuth access token." in raised.message
    assert len(source.asked) == 1


@pytest.mark.parametrize(
    "body",
    [{"error_code": 1, "error_msg": "An unknown error occurred"}, {"error": "An unknown error occurred"}],
)
def test_words_without_an_error_object_are_shown(fail: Fail, body: object) -> None:
    raised, _ = fail(lists(), said(body, 200))
    assert isinstance(raised, AnswerFailed)
    assert "An unknown error occurred" in raised.message


def test_a_page_that_is_called_like_an_error_is_no_error(play: Play) -> None:
    page = {"id": "104", "name": "Error", "code": 3, "message": "Welcome"}
    identity, _ = play(lambda client: client.fetch_page(ACCESS), said(page, 200))
    assert identity.name == "Error"


def test_too_many_requests_without_a_code_are_waited_for_as_long_as_the_source_says(
    play: Play, clock: FakeClock
) -> None:
    html = said("<html>Too Many Requests</html>", 429, Retry_After="30", Content_Type="text/html")
    _, source = play(lists(), html, html, LISTED, clock=clock)
    assert len(source.asked) == 3
    assert sum(clock.slept) >= 60


def test_a_source_that_is_away_is_tried_again_after_the_time_it_says(play: Play, clock: FakeClock) -> None:
    _, source = play(lists(), said("<html></html>", 503, Retry_After="20"), LISTED, clock=clock)
    assert len(source.asked) == 2
    assert sum(clock.slept) >= 20


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 7 ", 7.0),
        ("999999999", 300.0),
        ("Mon, 01 Jun 2026 12:00:20 GMT", 20.0),
        ("Mon, 01 Jun 2020 12:00:20 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_the_time_to_wait_is_seconds_or_a_date_and_has_a_limit(
    text: str | None, seconds: float | None
) -> None:
    assert _seconds_in(text, datetime(2026, 6, 1, 12, tzinfo=UTC)) == seconds


def test_every_call_asks_for_messages_in_one_language(play: Play) -> None:
    _, source = play(lists(), LISTED)
    assert source.params()[0]["locale"] == "en_US"


def test_no_refusal_is_repeated_without_end(fail: Fail) -> None:
    for code in range(1, 1000):
        if code in {4, 17, 32, 341, 613}:
            continue  # a rate: it is waited for
        raised, source = fail(lists(), said(error(code, "(#1) Refused: snippet link messages")))
        assert isinstance(raised, SourceError)
        assert len(source.asked) <= 4, code
