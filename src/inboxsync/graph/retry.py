"""Which failure is met how: one table.

Classified by the body's code and subcode, never by HTTP status or `type`: a rate limit
is an "OAuthException" (graph-facts 3). The first row that fits decides.
"""

import random
from dataclasses import dataclass
from enum import Enum, auto

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


class Treatment(Enum):
    """What to do about a failed call."""

    AGAIN = auto()  # the same call, after a growing pause, a few times
    SMALLER = auto()  # ask for less: a repeat never succeeds
    LATER = auto()  # the allowance is spent: wait for it, however long
    HUMAN = auto()  # a person must act
    NEVER = auto()  # it would fail again


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: what it matches, the treatment, the error if it comes to that."""

    codes: frozenset[int]
    treatment: Treatment
    error: type[SourceError]
    subcode: int | None = None
    text: str | None = None
    hint: str | None = None

    def fits(self, fault: Fault) -> bool:
        """Whether this row speaks of `fault`."""
        return (
            fault.code in self.codes
            and (self.subcode is None or self.subcode == fault.subcode)
            and (self.text is None or self.text in fault.message.lower())
        )


def _rule(
    codes: int | range | set[int],
    treatment: Treatment,
    error: type[SourceError],
    *,
    subcode: int | None = None,
    text: str | None = None,
    hint: str | None = None,
) -> Rule:
    numbers = frozenset({codes}) if isinstance(codes, int) else frozenset(codes)
    return Rule(codes=numbers, treatment=treatment, error=error, subcode=subcode, text=text, hint=hint)


_ADD_AGAIN = "then hand over a new Page token with `inboxsync pages add PAGE_ID`."
_SPENT = "Nothing to do: it waits for the allowance; `--max-duration` bounds the wait."

RULES: tuple[Rule, ...] = (
    _rule(1, Treatment.SMALLER, AnswerTooLarge, text="reduce the amount of data"),
    _rule({4, 17, 32, 341, 613}, Treatment.LATER, SourceUnreachable, hint=_SPENT),
    _rule(range(80000, 80015), Treatment.LATER, SourceUnreachable, hint=_SPENT),
    _rule(
        -2,
        Treatment.HUMAN,
        PermissionMissing,
        subcode=2534084,
        hint="The app has only Standard Access: request Advanced Access for instagram_manage_messages.",
    ),
    _rule(
        {190, 102}, Treatment.HUMAN, TokenInvalid, subcode=458, hint=f"Authorise the app again, {_ADD_AGAIN}"
    ),
    _rule(190, Treatment.HUMAN, TokenInvalid, subcode=459, hint=f"Log in at facebook.com once, {_ADD_AGAIN}"),
    _rule(
        190, Treatment.HUMAN, TokenInvalid, subcode=460, hint=f"The password changed: log in, {_ADD_AGAIN}"
    ),
    _rule(190, Treatment.HUMAN, TokenInvalid, subcode=463, hint=f"The token expired: log in, {_ADD_AGAIN}"),
    _rule(
        190, Treatment.HUMAN, TokenInvalid, subcode=464, hint=f"Confirm the Facebook account, {_ADD_AGAIN}"
    ),
    _rule(
        190,
        Treatment.HUMAN,
        TokenInvalid,
        subcode=490,
        hint=f"Approve the login at facebook.com, {_ADD_AGAIN}",
    ),
    _rule(
        190,
        Treatment.HUMAN,
        TokenInvalid,
        subcode=492,
        hint=f"Give that person back the role on the Page, or ask somebody who has one, {_ADD_AGAIN}",
    ),
    _rule({190, 102, 104}, Treatment.HUMAN, TokenInvalid),
    _rule(2500, Treatment.HUMAN, TokenInvalid, text="access token"),
    _rule(
        210,
        Treatment.HUMAN,
        TokenInvalid,
        hint="This is not a Page's token: `GET /me/accounts` with it lists the tokens of its Pages.",
    ),
    _rule(
        368,
        Treatment.HUMAN,
        PermissionMissing,
        hint="Meta has blocked this for a while: look at the Page's support inbox, and wait a day.",
    ),
    _rule({3, 10, 36103}, Treatment.HUMAN, PermissionMissing),
    _rule(range(200, 300), Treatment.HUMAN, PermissionMissing),
    _rule({100, 2642}, Treatment.NEVER, CursorRefused, text="cursor"),
    _rule(100, Treatment.HUMAN, PageNotVisible, subcode=33),
    _rule(
        100,
        Treatment.HUMAN,
        PageNotVisible,
        subcode=2534013,
        hint="Link a professional Instagram account to the Page first.",
    ),
    _rule({1, 2, -2}, Treatment.AGAIN, SourceUnreachable),
)
_TRANSIENT = Rule(codes=frozenset(), treatment=Treatment.AGAIN, error=SourceUnreachable)
_FINAL = Rule(codes=frozenset(), treatment=Treatment.NEVER, error=SourceRefused)
_SERVER_ERROR = 500


def rule_for(fault: Fault) -> Rule:
    """The row that decides about `fault`."""
    for rule in RULES:
        if rule.fits(fault):
            return rule
    # Everything without an envelope (resets, HTML, empty, cut) has been seen to pass (graph-facts 3).
    transient = fault.code is None or fault.is_transient or (fault.status or 0) >= _SERVER_ERROR
    return _TRANSIENT if transient else _FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how far apart: exponential backoff with full jitter.

    The pause before attempt n+1 is uniform between 0 and `base_seconds` x 2^(n-1), at most
    `longest_seconds`.
    """

    attempts: int = 3
    base_seconds: float = 1.0
    longest_seconds: float = 30.0

    def pause_seconds(self, failed_attempts: int) -> float:
        """How long to wait after so many failed attempts (1 or more)."""
        ceiling = min(self.longest_seconds, self.base_seconds * 2 ** (failed_attempts - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
