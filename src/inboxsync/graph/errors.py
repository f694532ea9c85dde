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
_TOO_MANY_REQUESTS = 429
_NOT_AUTHENTICATED = 401
# Meta's own, then those of its older interfaces, of OAuth and of proxies in between.
_MESSAGES = ("message", "error_user_msg", "error_message", "error_msg", "error_description", "error")
_CODES = ("code", "error_code")
# As `error`, where there is no code (RFC 6750).
_OAUTH_TOKEN = "invalid_token"  # noqa: S105 - a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What came instead of data. `message` holds no token.

    `code` is None without a Graph error: no answer, HTML, an empty body, `null`, a cut body.
    `is_answered` is False if there was not even a connection, `is_too_large` if its answer passed our own
    bound. `repeats_cursor`: a list answered with the cursor that the call had sent. `retry_after_seconds`:
    how long the source asks to wait.
    """

    message: str
    code: int | None = None
    subcode: int | None = None
    status: int | None = None
    is_transient: bool = False
    trace_id: str | None = None
    is_answered: bool = True
    is_too_large: bool = False
    repeats_cursor: bool = False
    retry_after_seconds: float | None = None

    def __str__(self) -> str:
        if self.code is None:
            return self.message
        number = f"{self.code}/{self.subcode}" if self.subcode else f"{self.code}"
        trace = f", trace {self.trace_id}" if self.trace_id else ""
        return f"{self.message} (Graph error {number}{trace})"

    @classmethod
    def from_error_body(cls, error: dict[str, Any], *, status: int) -> Self:
        """Read Graph's `error` object, or one of its other shapes; every key of it may be missing.

        See graph-facts 3.
        """
        texts = [text for name in _MESSAGES if isinstance(text := error.get(name), str) and text]
        codes = (_number(error.get(name)) for name in _CODES)
        trace_id = error.get("fbtrace_id")
        return cls(
            message=" ".join(dict.fromkeys(texts)) or "Meta refused the call.",
            code=next((code for code in codes if code is not None), None),
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
    PAGE_NODE = auto()  # the Page itself, and not what it has
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
    about: Subject | None = None,
) -> Rule:
    rule = _rule(codes, Treatment.PERSON, error, subcodes=subcodes, text=text, about=about)
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
    _person(
        _TOKEN_CODES,
        PageNotVisible,
        TokenReason.PAGE_NOT_VISIBLE,
        "Publish the Page, or ask its owner to. The token stays valid.",
        text="that is not accessible",
    ),
    _token(493, TokenReason.EXPIRED, "Access ended because the app was not used for 90 days: log in"),
    _token(490, TokenReason.LOGIN_APPROVAL, "Approve the login at facebook.com"),
    _token(
        492,
        TokenReason.ROLE_LOST,
        "Give that person the role on the Page again, or ask another person who has one",
    ),
    _person({*_TOKEN_CODES, 104}, TokenInvalid, TokenReason.OTHER),
    _person(2500, TokenInvalid, TokenReason.OTHER, text="access token"),
    _person({450, 452}, TokenInvalid, TokenReason.LOGGED_OUT, f"The session ended: log in, {_ADD_AGAIN}"),
    _person(459, TokenInvalid, TokenReason.CHECKPOINT, f"Log in at facebook.com once, {_ADD_AGAIN}"),
    _person(464, TokenInvalid, TokenReason.UNCONFIRMED, f"Confirm the Facebook account, {_ADD_AGAIN}"),
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
    _person(
        range(200, 300),
        PermissionMissing,
        TokenReason.OTHER,
        f"This token is a person's. Take the Page's own token from `GET /me/accounts`, {_ADD_AGAIN}",
        subcodes=2069030,
    ),
    _person(
        {5, 15, 101},
        PermissionMissing,
        TokenReason.OTHER,
        "Meta does not accept the app: check in the App Dashboard that it is live and not restricted, and "
        f"that this server's address is allowed; {_ADD_AGAIN}",
    ),
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
    _person(
        21,
        PageNotVisible,
        TokenReason.PAGE_NOT_VISIBLE,
        "The Page was merged into another one: add that Page, with its new id and its own token. What is "
        "stored of the old one stays.",
    ),
    _person(803, PageNotVisible, TokenReason.PAGE_NOT_VISIBLE),
    _person(
        {12, 100},
        PageNotVisible,
        TokenReason.PAGE_NOT_VISIBLE,
        "This is not a Page, or the token is not a Page's own: `GET /me/accounts` lists Pages with their "
        "tokens.",
        text="field",
        about=Subject.PAGE_NODE,
    ),
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
_TOO_LARGE = Rule(treatment=Treatment.SMALLER, error=AnswerTooLarge)
_TOO_MANY = Rule(treatment=Treatment.WAIT, error=SourceUnreachable)
_NO_TOKEN = Rule(treatment=Treatment.PERSON, error=TokenInvalid, reason=TokenReason.OTHER)
_NO_CONNECTION = Rule(treatment=Treatment.RETRY, error=SourceUnreachable)
_REPEATED_CURSOR = Rule(treatment=Treatment.RETRY, error=CursorRefused)
_TRANSIENT = Rule(treatment=Treatment.RETRY, error=AnswerFailed)
_FINAL = Rule(treatment=Treatment.FAIL, error=SourceRefused)


def rule_for(fault: Fault, *, about: Subject = Subject.PAGE) -> Rule:
    """The row that decides about `fault`, in a call about `about`."""
    if (known := _rule_without_code(fault)) is not None:
        return known
    for rule in RULES:
        if rule.matches(fault, about):
            # Meta says that it will pass: try again first, and raise the row's error only if it does not.
            will_pass = fault.is_transient and rule.treatment in (Treatment.PERSON, Treatment.FAIL)
            return replace(rule, treatment=Treatment.RETRY) if will_pass else rule
    # Failures without a Graph error (resets, HTML, empty, cut) have been seen to pass (graph-facts 3).
    is_transient = fault.code is None or fault.is_transient or (fault.status or 0) >= _SERVER_ERROR
    return _TRANSIENT if is_transient else _FINAL


def _rule_without_code(fault: Fault) -> Rule | None:
    """What is known without Meta's code: from the connection, our own bounds, or the HTTP status."""
    if not fault.is_answered:
        return _NO_CONNECTION
    if fault.is_too_large:
        return _TOO_LARGE
    if fault.repeats_cursor:
        return _REPEATED_CURSOR
    if fault.code is None and fault.status == _TOO_MANY_REQUESTS:
        return _TOO_MANY
    if fault.code is None and (fault.status == _NOT_AUTHENTICATED or _OAUTH_TOKEN in fault.message):
        return _NO_TOKEN
    return None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        # Meta's own libraries have written 190.0.
        return int(float(value)) if isinstance(value, str | float) else None
    except (ValueError, OverflowError):
        return None
