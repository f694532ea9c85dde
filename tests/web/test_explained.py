"""Errors on the screen: in an owner's words, with the form that mends them, Meta's words behind "Details"."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from inboxsync import errors
from inboxsync.api import problems
from inboxsync.errors import InboxsyncError, PageBusy, SourceUnreachable, TokenInvalid
from inboxsync.graph.errors import RULES, Fault
from inboxsync.model import Page, Platform, Problem, TokenReason, TokenState
from inboxsync.web.explained import explained, explained_token, plain

PAGE = Page(
    id="p",
    facebook_page_id="104",
    platform=Platform.INSTAGRAM,
    account_id="104",
    name="Bakery",
    token_state=TokenState.INVALID,
    last_synced_at=None,
)
# Commands, variables, codes of programs, paths of the API.
TECHNICAL = re.compile(r"`|inboxsync|INBOXSYNC|PAGE_ID|--|exit|Graph error|/api/|/docs|\w+_\w+|trace")
# Names that Meta's own screens show, where a person must look for them.
METAS = re.compile(r"pages_\w+|instagram_\w+")


def kinds(of: type[InboxsyncError] = InboxsyncError) -> Iterator[type[InboxsyncError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def assert_plain(text: str) -> None:
    assert not TECHNICAL.search(METAS.sub("", text)), text


KINDS = sorted(
    {each for each in kinds() if each.__module__ in (errors.__name__, problems.__name__)},
    key=lambda each: each.__name__,
)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_error_shows_a_command_a_variable_or_a_code(kind: type[InboxsyncError]) -> None:
    said = explained(kind("It went wrong (Graph error 190/463, trace AbC)."), page=PAGE, may_admin=True)
    assert_plain(said.text)
    assert_plain(said.advice)
    assert said.text


def test_no_advice_about_a_refusal_shows_a_command_and_a_token_can_be_entered() -> None:
    fault = Fault(message="(#10) Nicht erlaubt", code=190, subcode=463, trace_id="AbC")
    for rule in RULES:
        error = rule.as_error(fault, attempts=1)
        said = explained(error, page=PAGE, may_admin=True)
        assert_plain(said.advice)
        assert "Graph error 190/463, trace AbC" in said.details
        assert "Nicht erlaubt" not in said.text
        if isinstance(error, errors.NeedsPerson):
            assert (said.href, said.label) == (
                "/pages/new?id=104&platform=instagram",
                "Enter a new token",
            )
            assert said.advice


@pytest.mark.parametrize("reason", TokenReason)
def test_why_a_token_does_not_work_is_told_with_its_form(reason: TokenReason) -> None:
    hints = [
        str(rule.as_error(Fault(message="x"), attempts=1).hint) for rule in RULES if rule.reason is reason
    ]
    for hint in hints or [TokenInvalid.default_hint]:
        stored = f"Error validating (Graph error 190/463, trace AbC) {hint}".replace("PAGE_ID", "104")
        said = explained_token(replace(PAGE, token_reason=reason, token_problem=stored), may_admin=True)
        assert_plain(said.text)
        assert_plain(said.advice)
        assert said.details == "Error validating (Graph error 190/463, trace AbC)"
        assert said.advice
        assert said.href


def test_who_may_not_enter_a_token_gets_no_link_to_the_form() -> None:
    assert explained(TokenInvalid("x"), page=PAGE).href == ""
    assert explained_token(PAGE, may_admin=False).href == ""


@pytest.mark.parametrize("problem", [None, "", "It ended.", "no (Graph error"])
def test_whatever_is_stored_of_a_token_is_told(problem: str | None) -> None:
    said = explained_token(replace(PAGE, token_problem=problem), may_admin=True)
    assert said.text == "The access token of this Page does not work."
    assert said.advice


def test_a_busy_page_leads_to_the_run_and_what_is_sent_again_says_so() -> None:
    run = "01890000-0000-7000-8000-000000000000"
    busy = explained(
        PageBusy("A sync of this Page has not ended.", hint=f"When /api/v1/runs/{run} has ended.")
    )
    assert (busy.text, busy.advice) == ("A sync of this Page has not ended.", "Nothing was started.")
    assert (busy.href, busy.label) == (f"/runs/{run}", "Open that run")
    assert "next sync" in explained(SourceUnreachable("no answer")).advice
    assert "Try again in a moment" in explained(SourceUnreachable("no answer"), is_form=True).advice


def test_a_problem_of_a_run_is_told_like_an_error() -> None:
    said = explained(
        Problem(code="nothing_listed", message="Nothing was listed.", hint="Run `x y`. Look at Meta.")
    )
    assert (said.text, said.advice) == ("Nothing was listed.", "Look at Meta.")


def test_a_message_inside_another_text_loses_its_code() -> None:
    assert plain("Every answer failed (Graph error 1, trace x). Tried 3 times.") == (
        "Every answer failed. Tried 3 times."
    )
    assert plain("Run `inboxsync sync`.") == "It could not be read."
