import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.errors import (
    AnswerTooLarge,
    CursorRefused,
    PageNotVisible,
    PermissionMissing,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    TokenInvalid,
)
from inboxsync.graph.faults import Fault
from inboxsync.graph.retry import RetryPolicy, Treatment, rule_for

REDUCE = "Please reduce the amount of data you're asking for, then retry your request"
TABLE = [
    (Fault(code=1, message=REDUCE, status=500), Treatment.SMALLER, AnswerTooLarge),
    (Fault(code=1, subcode=99, message="An unknown error occurred"), Treatment.AGAIN, SourceUnreachable),
    (
        Fault(code=2, message="Service temporarily unavailable", status=500),
        Treatment.AGAIN,
        SourceUnreachable,
    ),
    (Fault(code=-2, subcode=2534084, message="Timeout"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=-2, message="Timeout"), Treatment.AGAIN, SourceUnreachable),
    (Fault(code=4, message="Application request limit reached", is_transient=True), Treatment.LATER, None),
    (Fault(code=17, message="User request limit reached"), Treatment.LATER, None),
    (Fault(code=32, message="Page request limit reached"), Treatment.LATER, None),
    (Fault(code=613, message="Calls to this api have exceeded the rate limit"), Treatment.LATER, None),
    (Fault(code=80001, message="limit"), Treatment.LATER, None),
    (Fault(code=80002, message="limit"), Treatment.LATER, None),
    (Fault(code=80006, message="limit"), Treatment.LATER, None),
    (Fault(code=341, message="limit"), Treatment.LATER, None),
    *(
        (
            Fault(code=190, subcode=subcode, message="Error validating access token"),
            Treatment.HUMAN,
            TokenInvalid,
        )
        for subcode in (None, 458, 459, 460, 463, 464, 467, 490, 492)
    ),
    (Fault(code=102, message="Session"), Treatment.HUMAN, TokenInvalid),
    (Fault(code=104, message="An access token is required"), Treatment.HUMAN, TokenInvalid),
    (Fault(code=2500, message="An active access token must be used"), Treatment.HUMAN, TokenInvalid),
    (Fault(code=2500, message="Syntax error"), Treatment.NEVER, SourceRefused),
    (Fault(code=3, message="capability"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=10, subcode=2534077, message="permission"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=200, message="Requires permission: pages_messaging"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=200, subcode=2534041, message="connected tools"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=230, message="Requires pages_messaging permission"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=368, message="temporarily blocked"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=36103, message="not eligible"), Treatment.HUMAN, PermissionMissing),
    (Fault(code=100, subcode=33, message="Unsupported get request"), Treatment.HUMAN, PageNotVisible),
    (Fault(code=100, subcode=2534013, message="no account"), Treatment.HUMAN, PageNotVisible),
    (
        Fault(code=100, message="(#100) The After Cursor specified exceeds the max limit"),
        Treatment.NEVER,
        CursorRefused,
    ),
    (Fault(code=2642, message="Invalid cursors values"), Treatment.NEVER, CursorRefused),
    (Fault(code=100, message="Invalid parameter"), Treatment.NEVER, SourceRefused),
    (Fault(code=9000001, message="This Message has been deleted"), Treatment.NEVER, SourceRefused),
    (Fault(code=424242, message="?", is_transient=True), Treatment.AGAIN, SourceUnreachable),
    (Fault(code=424242, message="?", status=500), Treatment.AGAIN, SourceUnreachable),
    (Fault(code=424242, message="?", status=400), Treatment.NEVER, SourceRefused),
    (Fault(message="connection reset"), Treatment.AGAIN, SourceUnreachable),
]


@pytest.mark.parametrize(("fault", "treatment", "error"), TABLE, ids=lambda value: str(value)[:50])
def test_each_fault_has_its_treatment(
    fault: Fault, treatment: Treatment, error: type[SourceError] | None
) -> None:
    rule = rule_for(fault)
    assert rule.treatment is treatment
    assert error is None or rule.error is error


@given(st.integers(-5, 90000), st.integers(0, 3000000), st.text(), st.booleans())
def test_every_fault_has_some_treatment(code: int, subcode: int, message: str, transient: bool) -> None:
    fault = Fault(code=code, subcode=subcode, message=message, is_transient=transient)
    assert isinstance(rule_for(fault).treatment, Treatment)


def test_every_error_a_person_must_act_on_says_what_to_do() -> None:
    for fault, treatment, _ in TABLE:
        if treatment is Treatment.HUMAN:
            rule = rule_for(fault)
            assert rule.error("", hint=rule.hint).hint


@given(st.integers(1, 40))
def test_pauses_are_jittered_below_an_exponential_ceiling(failed: int) -> None:
    policy = RetryPolicy(base_seconds=1.0, longest_seconds=30.0)
    assert 0 <= policy.pause_seconds(failed) <= min(30.0, 2.0 ** (failed - 1))
