"""A failed call, and one table that says what to do about it.

Failures are classified by the code and subcode in the answer's body, never by HTTP status or
`type`: a rate limit is an "OAuthException" (graph-facts 3).
"""

import random
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Self

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
from inboxsync.model import TokenReason

_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What came instead of data. `message` holds no token.

    `code` is None without a Graph error: no answer, HTML, an empty body, `null`, a cut body.
    `is_answered` is False if there was not even a connection. `repeats_cursor`: a list answered
    with the cursor that the call had sent.
    """

    message: str
    code: int | None = None
    subcode: int | None = None
    status: int | None = None
    is_transient: bool = False
    trace_id: str | None = None
    is_answered: bool = True
    repeats_cursor: bool = False

    def __str__(self) -> str:
        if self.code is None:
            return self.message
        number = f"{self.code}/{self.subcode}" if self.subcode else f"{self.code}"
        trace = f", trace {self.trace_id}" if self.trace_id else ""
        return f"{self.message} (Graph error {number}{trace})"

    @classmethod
    def from_error_body(cls, error: dict[str, Any], *, status: int) -> Self:
        """Read Graph's `error` object; every key of it may be missing (graph-facts 3)."""
        message = error.get("message")
        user_message = error.get("error_user_msg")
        text = message if isinstance(message, str) and message else "Meta refused the call."
        if isinstance(user_message, str) and user_message and user_message != text:
            text = f"{text} {user_message}"
        trace_id = error.get("fbtrace_id")
        return cls(
            message=text,
            code=_number(error.get("code")),
            subcode=_number(error.get("error_subcode")),
            status=status,
            is_transient=error.get("is_transient") in (True, "true", 1),
            trace_id=trace_id if isinstance(trace_id, str) else None,
        )


class FaultError(Exception):
    """Carries a `Fault` from where it is noticed to where the table is applied."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Treatment(Enum):
    """What to do about a failed call."""

    RETRY = auto()  # the same call, after a growing pause, a few times
    SMALLER = auto()  # ask for less: the same call never succeeds
    WAIT = auto()  # the quota is used up: wait for it, however long
    PERSON = auto()  # a person must act
    FAIL = auto()  # it would fail again


class Subject(Enum):
    """What a call asks about: the same error has one meaning for a Page and another for a conversation."""

    PAGE = auto()
    CONVERSATION = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: what it matches, the treatment, and the error to raise in the end.

    A field that is None matches everything. `reason` is why a token does not work; every row for
    a person has one.
    """

    treatment: Treatment
    error: type[SourceError]
    codes: frozenset[int] | None = None
    subcodes: frozenset[int] | None = None
    text: str | None = None
    about: Subject | None = None
    reason: TokenReason | None = None
    hint: str | None = None

    def matches(self, fault: Fault, about: Subject) -> bool:
        """Whether this row is about `fault`, in a call about `about`."""
        return (
            (self.codes is None or fault.code in self.codes)
            and (self.subcodes is None or fault.subcode in self.subcodes)
            and (self.text is None or self.text in fault.message.lower())
            and (self.about is None or self.about is about)
        )

    def as_error(self, fault: Fault, *, attempts: int) -> SourceError:
        """The error to raise for `fault` after so many attempts."""
        message = str(fault)
        if self.treatment is Treatment.RETRY and attempts > 1:
            message = f"{message.removesuffix('.')}. Tried {attempts} times."
        if issubclass(self.error, NeedsPerson):
            return self.error(message, hint=self.hint, reason=self.reason)
        return self.error(message, hint=self.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a call is tried, and how far apart: exponential backoff with full jitter.

    The pause before attempt n+1 is random between 0 and `base_seconds` x 2^(n-1), at most
    `longest_seconds`.
    """

    attempts: int = 3
    base_seconds: float = 1.0
    longest_seconds: float = 30.0

    def pause_seconds(self, failed_attempts: int) -> float:
        """How long to wait after so many failed attempts (1 or more)."""
        ceiling = min(self.longest_seconds, self.base_seconds * 2 ** (failed_attempts - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, protects nothing


Numbers = int | range | set[int]


def _numbers(given: Numbers | None) -> frozenset[int] | None:
    if given is None:
        return None
    return frozenset({given}) if isinstance(given, int) else frozenset(given)


def _rule(
    codes: Numbers | None,
    treatment: Treatment,
    error: type[SourceError],
    *,
    subcodes: Numbers | None = None,
    text: str | None = None,
    about: Subject | None = None,
) -> Rule:
    return Rule(
        codes=_numbers(codes),
        treatment=treatment,
        error=error,
        subcodes=_numbers(subcodes),
        text=text,
        about=about,
    )


def _person(
    codes: Numbers,
    error: type[NeedsPerson],
    reason: TokenReason,
    hint: str | None = None,
    *,
    subcodes: Numbers | None = None,
    text: str | None = None,
) -> Rule:
    rule = _rule(codes, Treatment.PERSON, error, subcodes=subcodes, text=text)
    return replace(rule, reason=reason, hint=hint)


_TOKEN_CODES = {190, 102}
_ADD_AGAIN = "then add the Page again with a new token: `inboxsync pages add PAGE_ID`."


def _token(subcode: int, reason: TokenReason, action: str) -> Rule:
    return _person(_TOKEN_CODES, TokenInvalid, reason, f"{action}, {_ADD_AGAIN}", subcodes=subcode)


_LIMITS = (
    _rule(1, Treatment.SMALLER, AnswerTooLarge, text="reduce the amount of data"),
    _rule({4, 17, 32, 341, 613}, Treatment.WAIT, SourceUnreachable),
    _rule(range(80000, 80015), Treatment.WAIT, SourceUnreachable),
)
_TOKENS = (
    _token(458, TokenReason.APP_REMOVED, "Authorise the app again"),
    _token(459, TokenReason.CHECKPOINT, "Log in at facebook.com once"),
    _token(460, TokenReason.PASSWORD_CHANGED, "The password changed: log in"),
    _token(463, TokenReason.EXPIRED, "The token expired: log in"),
    _token(464, TokenReason.UNCONFIRMED, "Confirm the Facebook account"),
    _token(467, TokenReason.LOGGED_OUT, "The session ended: log in"),
    _token(490, TokenReason.LOGIN_APPROVAL, "Approve the login at facebook.com"),
    _token(
        492,
        TokenReason.ROLE_LOST,
        "Give that person the role on the Page again, or ask another person who has one",
    ),
    _person({*_TOKEN_CODES, 104}, TokenInvalid, TokenReason.OTHER),
    _person(2500, TokenInvalid, TokenReason.OTHER, text="access token"),
    _person(
        210,
        TokenInvalid,
        TokenReason.OTHER,
        "This is not a Page's token: `GET /me/accounts` with it lists the tokens of its Pages.",
    ),
)
# Errors about sending and about people's profiles, under codes that otherwise mean a permission.
_NOT_ABOUT_READING = (
    _rule(None, Treatment.FAIL, SourceRefused, subcodes={1545041, 2018108, 2018218, 2018247, 2018300}),
    _rule({506, 551, 1609005, 2018218, 2018247, 2018300}, Treatment.FAIL, SourceRefused),
)
_ADVANCED = "The app has only Standard Access: request Advanced Access for instagram_manage_messages"
_PROOF_HINT = "Set INBOXSYNC_APP_SECRET to the secret of the token's app: it is missing or wrong."
_PERMISSIONS = (
    _person(-2, PermissionMissing, TokenReason.STANDARD_ACCESS, f"{_ADVANCED}.", subcodes=2534084),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.STANDARD_ACCESS,
        f"{_ADVANCED}, or give the person a role on the app.",
        subcodes=2534048,
    ),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.PERMISSION_REMOVED,
        "Allow access to messages for connected tools in the Instagram app's settings.",
        subcodes=2534041,
    ),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.PERMISSION_REMOVED,
        f"Link the Instagram account to the Page again, with two-factor login if Meta asks, {_ADD_AGAIN}",
        subcodes=2534077,
    ),
    _person(
        36103,
        PermissionMissing,
        TokenReason.OTHER,
        "Meta does not serve this Instagram account's messages yet: wait until it is eligible.",
    ),
    _person(
        368,
        PermissionMissing,
        TokenReason.BLOCKED,
        "Meta has blocked this for a while: read the Page's support inbox, and wait a day.",
    ),
    _person(100, PermissionMissing, TokenReason.OTHER, _PROOF_HINT, text="app secret proof"),
    _person(100, PermissionMissing, TokenReason.OTHER, _PROOF_HINT, text="appsecret_proof"),
    _person({3, 10}, PermissionMissing, TokenReason.PERMISSION_REMOVED),
    _person(range(200, 300), PermissionMissing, TokenReason.PERMISSION_REMOVED),
)
_OBJECTS = (
    _rule({100, 2642}, Treatment.FAIL, CursorRefused, text="cursor"),
    _rule(2642, Treatment.FAIL, CursorRefused),
    _rule(100, Treatment.FAIL, ConversationMissing, subcodes=33, about=Subject.CONVERSATION),
    _person(100, PageNotVisible, TokenReason.PAGE_NOT_VISIBLE, subcodes=33),
    _person(
        100,
        PageNotVisible,
        TokenReason.PAGE_NOT_VISIBLE,
        "Link a professional Instagram account to the Page first.",
        subcodes=2534013,
    ),
    _rule(9000001, Treatment.FAIL, MessageUnreadable),
)

# The first row that matches decides.
RULES: tuple[Rule, ...] = (
    *_LIMITS,
    *_TOKENS,
    *_NOT_ABOUT_READING,
    *_PERMISSIONS,
    *_OBJECTS,
    _rule({1, 2, -2}, Treatment.RETRY, AnswerFailed),
)
_NO_CONNECTION = Rule(treatment=Treatment.RETRY, error=SourceUnreachable)
_REPEATED_CURSOR = Rule(treatment=Treatment.RETRY, error=CursorRefused)
_TRANSIENT = Rule(treatment=Treatment.RETRY, error=AnswerFailed)
_FINAL = Rule(treatment=Treatment.FAIL, error=SourceRefused)


def rule_for(fault: Fault, *, about: Subject = Subject.PAGE) -> Rule:
    """The row that decides about `fault`, in a call about `about`."""
    if not fault.is_answered:
        return _NO_CONNECTION
    if fault.repeats_cursor:
        return _REPEATED_CURSOR
    for rule in RULES:
        if rule.matches(fault, about):
            # Meta says that it will pass: try again first, and raise the row's error only if it does not.
            will_pass = fault.is_transient and rule.treatment in (Treatment.PERSON, Treatment.FAIL)
            return replace(rule, treatment=Treatment.RETRY) if will_pass else rule
    # Failures without a Graph error (resets, HTML, empty, cut) have been seen to pass (graph-facts 3).
    is_transient = fault.code is None or fault.is_transient or (fault.status or 0) >= _SERVER_ERROR
    return _TRANSIENT if is_transient else _FINAL


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None
