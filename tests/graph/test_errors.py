"""Row by row, as docs/graph-facts.md section 3 has them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    ConversationMissing,
    CursorRefused,
    MessageUnreadable,
    NeedsPerson,
    PageNotVisible,
    PermissionMissing,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    TokenInvalid,
)
from inboxsync.graph.errors import RULES, Fault, RetryPolicy, Subject, Treatment, rule_for
from inboxsync.model import TokenReason

RETRY, SMALLER, WAIT, PERSON, FAIL = Treatment
REDUCE = "Please reduce the amount of data you're asking for, then retry your request"
NO_OBJECT = "Unsupported get request. Object with ID '1' does not exist"
NEEDS = "(#200) Requires permission: pages_messaging or User associated with the Page access token"
TOO_DEEP = "(#100) The After Cursor specified exceeds the max limit supported by this endpoint"
PROOF = "(#100) API calls from the server require either app secret proof or an app token"

Row = tuple[int | None, int | None, int | None, str, Treatment, type[SourceError]]
# code, subcode, HTTP status, message: the treatment, and the error if it comes to that.
OTHERS: list[Row] = [
    (1, None, 500, REDUCE, SMALLER, AnswerTooLarge),
    (1, None, 500, "An unknown error occurred", RETRY, AnswerFailed),
    (1, 99, 400, "An unknown error occurred", RETRY, AnswerFailed),
    (2, None, 500, "Service temporarily unavailable", RETRY, AnswerFailed),
    (2, None, 503, "Service temporarily unavailable", RETRY, AnswerFailed),
    (-2, None, 400, "Timeout", RETRY, AnswerFailed),
    (4, None, 403, "(#4) Application request limit reached", WAIT, SourceUnreachable),
    (17, None, 400, "(#17) User request limit reached", WAIT, SourceUnreachable),
    (32, None, 400, "(#32) Page request limit reached", WAIT, SourceUnreachable),
    (341, None, 400, "Application limit reached", WAIT, SourceUnreachable),
    (613, None, 400, "(#613) Calls to this api have exceeded the rate limit.", WAIT, SourceUnreachable),
    (613, 1996, 400, "(#613) inconsistent volume", WAIT, SourceUnreachable),
    (613, 2534040, 400, "(#613) Instagram messaging", WAIT, SourceUnreachable),
    (80001, None, 400, "(#80001) too many calls to this Page account", WAIT, SourceUnreachable),
    (80002, None, 400, "(#80002) too many calls to this Instagram account", WAIT, SourceUnreachable),
    (80006, None, 400, "(#80006) too many messenger api calls", WAIT, SourceUnreachable),
    (2500, None, 400, 'Syntax error "Expected end of string"', FAIL, SourceRefused),
    (100, None, 400, "(#100) Invalid parameter", FAIL, SourceRefused),
    (100, 2018001, 400, "(#100) No matching user found", FAIL, SourceRefused),
    (100, 2534014, 400, "(#100) No matching user found", FAIL, SourceRefused),
    (100, None, 400, TOO_DEEP, FAIL, CursorRefused),
    (100, None, 400, "(#100) Invalid cursors values", FAIL, CursorRefused),
    (2642, None, 400, "Invalid cursors values", FAIL, CursorRefused),
    (2642, None, 400, "", FAIL, CursorRefused),
    (551, 1545041, 400, "This person isn't available", FAIL, SourceRefused),
    (200, 1545041, 400, "This person isn't available", FAIL, SourceRefused),
    (10, 2018108, 400, "This person isn't available", FAIL, SourceRefused),
    (506, None, 400, "Duplicate message", FAIL, SourceRefused),
    (1609005, None, 400, "Link could not be scraped", FAIL, SourceRefused),
    (100, 2018218, 400, "No profile available", FAIL, SourceRefused),
    (2018218, None, 400, "No profile available", FAIL, SourceRefused),
    (200, 2018247, 400, "Insufficient permission for the profile", FAIL, SourceRefused),
    (2018247, None, 400, "Insufficient permission for the profile", FAIL, SourceRefused),
    (10, 2018300, 400, "Another app controls this thread", FAIL, SourceRefused),
    (2018300, None, 400, "Another app controls this thread", FAIL, SourceRefused),
    (9000001, None, 400, "This Message has been deleted by the user", FAIL, MessageUnreadable),
    (424242, None, 400, "?", FAIL, SourceRefused),
    (424242, None, 500, "?", RETRY, AnswerFailed),
    (None, None, 500, "HTTP 500: an HTML page", RETRY, AnswerFailed),
    (None, None, 200, "The answer is empty", RETRY, AnswerFailed),
    (None, None, 403, "HTTP 403 without a Graph error", RETRY, AnswerFailed),
    (None, None, None, "No answer: connection reset", RETRY, AnswerFailed),
]
PersonRow = tuple[int, int | None, int, str, type[NeedsPerson], TokenReason]
# The same for a person to act on, with the reason.
PERSONS: list[PersonRow] = [
    (190, None, 400, "Invalid OAuth access token", TokenInvalid, TokenReason.OTHER),
    (190, None, 401, "Invalid OAuth access token", TokenInvalid, TokenReason.OTHER),
    (190, 458, 400, "The user has not authorized", TokenInvalid, TokenReason.APP_REMOVED),
    (190, 459, 400, "The user is checkpointed", TokenInvalid, TokenReason.CHECKPOINT),
    (190, 460, 400, "changed the password", TokenInvalid, TokenReason.PASSWORD_CHANGED),
    (190, 463, 400, "Session has expired", TokenInvalid, TokenReason.EXPIRED),
    (190, 464, 400, "not a confirmed user", TokenInvalid, TokenReason.UNCONFIRMED),
    (190, 467, 400, "the user logged out", TokenInvalid, TokenReason.LOGGED_OUT),
    (190, 490, 400, "must approve", TokenInvalid, TokenReason.LOGIN_APPROVAL),
    (190, 492, 400, "must be an administrator", TokenInvalid, TokenReason.ROLE_LOST),
    (190, 1, 400, "a subcode of tomorrow", TokenInvalid, TokenReason.OTHER),
    (102, None, 400, "Session key invalid", TokenInvalid, TokenReason.OTHER),
    (102, 463, 400, "Session has expired", TokenInvalid, TokenReason.EXPIRED),
    (104, None, 400, "Incorrect signature", TokenInvalid, TokenReason.OTHER),
    (104, None, 400, "An access token is required", TokenInvalid, TokenReason.OTHER),
    (2500, None, 400, "An active access token must be used", TokenInvalid, TokenReason.OTHER),
    (210, None, 400, "A page access token is required", TokenInvalid, TokenReason.OTHER),
    (-2, 2534084, 400, "Timeout", PermissionMissing, TokenReason.STANDARD_ACCESS),
    (200, 2534048, 403, "not approved", PermissionMissing, TokenReason.STANDARD_ACCESS),
    (10, 2534048, 403, "not approved", PermissionMissing, TokenReason.STANDARD_ACCESS),
    (3, None, 400, "capability", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (10, None, 403, "permission", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (10, 2534077, 403, "two-factor", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (200, None, 403, NEEDS, PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (200, 2534041, 403, "connected tools", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (230, None, 403, "Requires pages_messaging", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (299, None, 403, "permission", PermissionMissing, TokenReason.PERMISSION_REMOVED),
    (368, None, 403, "temporarily blocked", PermissionMissing, TokenReason.BLOCKED),
    (36103, None, 400, "not eligible", PermissionMissing, TokenReason.OTHER),
    (100, None, 400, PROOF, PermissionMissing, TokenReason.OTHER),
    (100, 33, 400, NO_OBJECT, PageNotVisible, TokenReason.PAGE_NOT_VISIBLE),
    (100, 2534013, 400, "no account linked", PageNotVisible, TokenReason.PAGE_NOT_VISIBLE),
]


def fault(code: int | None, subcode: int | None, status: int | None, message: str) -> Fault:
    return Fault(code=code, subcode=subcode, status=status, message=message)


def fault_of(row: Row | PersonRow) -> Fault:
    return fault(row[0], row[1], row[2], row[3])


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: f"{row[0]}/{row[1]}-{row[2]}-{row[3][:30]}")
@pytest.mark.parametrize("about", Subject)
def test_each_failure_has_its_treatment(row: Row, about: Subject) -> None:
    treatment, error = row[4:]
    rule = rule_for(fault_of(row), about=about)
    assert rule.treatment is treatment
    assert rule.error is error


@pytest.mark.parametrize("row", PERSONS, ids=lambda row: f"{row[0]}/{row[1]}-{row[3][:30]}")
def test_each_failure_for_a_person_has_its_reason_and_a_hint(row: PersonRow) -> None:
    error, reason = row[4:]
    rule = rule_for(fault_of(row))
    assert rule.treatment is PERSON
    raised = rule.as_error(fault_of(row), attempts=1)
    assert type(raised) is error
    assert isinstance(raised, NeedsPerson)
    assert raised.reason is reason
    assert raised.hint


def test_a_missing_conversation_is_not_a_missing_page() -> None:
    rule = rule_for(fault(100, 33, 400, NO_OBJECT), about=Subject.CONVERSATION)
    assert (rule.treatment, rule.error) == (FAIL, ConversationMissing)


def test_every_row_for_a_person_has_a_reason_and_every_reason_a_row() -> None:
    reasons = [rule.reason for rule in RULES if rule.treatment is PERSON]
    assert set(reasons) == set(TokenReason)
    assert all(rule.reason is None for rule in RULES if rule.treatment is not PERSON)


@pytest.mark.parametrize("row", PERSONS, ids=lambda row: f"{row[0]}/{row[1]}")
def test_an_error_that_meta_calls_transient_is_retried_before_it_is_raised(row: PersonRow) -> None:
    rule = rule_for(replace(fault_of(row), is_transient=True))
    assert (rule.treatment, rule.error) == (RETRY, row[4])


def test_an_unknown_code_that_meta_calls_transient_is_retried() -> None:
    rule = rule_for(replace(fault(960, None, 400, "Request aborted"), is_transient=True))
    assert (rule.treatment, rule.error) == (RETRY, AnswerFailed)


def test_a_transient_rate_limit_is_waited_for_and_not_retried() -> None:
    assert rule_for(replace(fault(4, None, 403, "limit"), is_transient=True)).treatment is WAIT


def test_without_a_connection_the_source_is_unreachable() -> None:
    rule = rule_for(Fault(message="refused", is_answered=False))
    assert (rule.treatment, rule.error) == (RETRY, SourceUnreachable)


def test_a_repeated_cursor_is_retried_and_then_refused() -> None:
    rule = rule_for(Fault(message="the same", repeats_cursor=True))
    assert (rule.treatment, rule.error) == (RETRY, CursorRefused)


@given(st.integers(-5, 90000), st.integers(0, 3000000), st.text(), st.booleans())
def test_every_failure_has_some_treatment(code: int, subcode: int, message: str, transient: bool) -> None:
    met = Fault(code=code, subcode=subcode, message=message, is_transient=transient)
    assert isinstance(rule_for(met).treatment, Treatment)


@given(st.integers(1, 40))
def test_pauses_are_jittered_below_an_exponential_ceiling(failed: int) -> None:
    policy = RetryPolicy(base_seconds=1.0, longest_seconds=30.0)
    assert 0 <= policy.pause_seconds(failed) <= min(30.0, 2.0 ** (failed - 1))
