"""Which failure is met how: one table.

Classified by the body's code and subcode, never by HTTP status or `type`: a rate limit
is an "OAuthException" (graph-facts 3). The first row that fits decides.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

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
from inboxsync.graph.errors import Fault
from inboxsync.model import TokenReason


class Treatment(Enum):
    """What to do about a failed call."""

    AGAIN = auto()  # the same call, after a growing pause, a few times
    SMALLER = auto()  # ask for less: a repeat never succeeds
    LATER = auto()  # the allowance is spent: wait for it, however long
    HUMAN = auto()  # a person must act
    NEVER = auto()  # it would fail again


class Subject(Enum):
    """What a call asks about: the same answer means one thing of a Page, another of a conversation."""

    PAGE = auto()
    CONVERSATION = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: what it matches, the treatment, the error if it comes to that.

    What is None matches everything. `reason` is why a token does not work; every row for a
    person has one.
    """

    treatment: Treatment
    error: type[SourceError]
    codes: frozenset[int] | None = None
    subcodes: frozenset[int] | None = None
    text: str | None = None
    about: Subject | None = None
    reason: TokenReason | None = None
    hint: str | None = None

    def fits(self, fault: Fault, about: Subject) -> bool:
        """Whether this row speaks of `fault`, met by a call about that."""
        return (
            (self.codes is None or fault.code in self.codes)
            and (self.subcodes is None or fault.subcode in self.subcodes)
            and (self.text is None or self.text in fault.message.lower())
            and (self.about is None or self.about is about)
        )

    def as_error(self, fault: Fault, *, attempts: int) -> SourceError:
        """The error to raise for `fault` after so many attempts."""
        said = str(fault)
        if self.treatment is Treatment.AGAIN and attempts > 1:
            said = f"{said.removesuffix('.')}. Tried {attempts} times."
        if issubclass(self.error, NeedsPerson):
            return self.error(said, hint=self.hint, reason=self.reason)
        return self.error(said, hint=self.hint)


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
    hint: str | None = None,
) -> Rule:
    return Rule(
        codes=_numbers(codes),
        treatment=treatment,
        error=error,
        subcodes=_numbers(subcodes),
        text=text,
        about=about,
        hint=hint,
    )


def _person(
    codes: Numbers,
    error: type[NeedsPerson],
    reason: TokenReason,
    *,
    subcodes: Numbers | None = None,
    text: str | None = None,
    hint: str | None = None,
) -> Rule:
    return replace(
        _rule(codes, Treatment.HUMAN, error, subcodes=subcodes, text=text, hint=hint), reason=reason
    )


_TOKEN_CODES = {190, 102}
_ADD_AGAIN = "then hand over a new Page token with `inboxsync pages add PAGE_ID`."
_ADVANCED = "The app has only Standard Access: request Advanced Access for "

_LIMITS = (
    _rule(1, Treatment.SMALLER, AnswerTooLarge, text="reduce the amount of data"),
    _rule({4, 17, 32, 341, 613}, Treatment.LATER, SourceUnreachable),
    _rule(range(80000, 80015), Treatment.LATER, SourceUnreachable),
)
_TOKENS = (
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.APP_REMOVED,
        subcodes=458,
        hint=f"Authorise the app again, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.CHECKPOINT,
        subcodes=459,
        hint=f"Log in at facebook.com once, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.PASSWORD_CHANGED,
        subcodes=460,
        hint=f"The password changed: log in, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.EXPIRED,
        subcodes=463,
        hint=f"The token expired: log in, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.UNCONFIRMED,
        subcodes=464,
        hint=f"Confirm the Facebook account, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.LOGGED_OUT,
        subcodes=467,
        hint=f"The session was ended: log in, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.LOGIN_APPROVAL,
        subcodes=490,
        hint=f"Approve the login at facebook.com, {_ADD_AGAIN}",
    ),
    _person(
        _TOKEN_CODES,
        TokenInvalid,
        TokenReason.ROLE_LOST,
        subcodes=492,
        hint=f"Give that person back the role on the Page, or ask somebody who has one, {_ADD_AGAIN}",
    ),
    _person({*_TOKEN_CODES, 104}, TokenInvalid, TokenReason.OTHER),
    _person(2500, TokenInvalid, TokenReason.OTHER, text="access token"),
    _person(
        210,
        TokenInvalid,
        TokenReason.OTHER,
        hint="This is not a Page's token: `GET /me/accounts` with it lists the tokens of its Pages.",
    ),
)
# Answers to sending, and about people's profiles, under codes that else mean a permission.
_NOT_FOR_READERS = (
    _rule(None, Treatment.NEVER, SourceRefused, subcodes={1545041, 2018108, 2018218, 2018247, 2018300}),
    _rule({506, 551, 1609005, 2018218, 2018247, 2018300}, Treatment.NEVER, SourceRefused),
)
_PERMISSIONS = (
    _person(
        -2,
        PermissionMissing,
        TokenReason.STANDARD_ACCESS,
        subcodes=2534084,
        hint=f"{_ADVANCED}instagram_manage_messages.",
    ),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.STANDARD_ACCESS,
        subcodes=2534048,
        hint=f"{_ADVANCED}instagram_manage_messages, or give the person a role on the app.",
    ),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.PERMISSION_REMOVED,
        subcodes=2534041,
        hint="Allow access to messages for connected tools in the Instagram app's settings.",
    ),
    _person(
        {10, 200},
        PermissionMissing,
        TokenReason.PERMISSION_REMOVED,
        subcodes=2534077,
        hint=f"Link the Instagram account to the Page again, with two-factor login if asked, {_ADD_AGAIN}",
    ),
    _person(
        36103,
        PermissionMissing,
        TokenReason.OTHER,
        hint="Meta does not serve this Instagram account's messages yet: wait until it is eligible.",
    ),
    _person(
        368,
        PermissionMissing,
        TokenReason.BLOCKED,
        hint="Meta has blocked this for a while: look at the Page's support inbox, and wait a day.",
    ),
    *(
        _person(
            100,
            PermissionMissing,
            TokenReason.OTHER,
            text=text,
            hint="Set INBOXSYNC_APP_SECRET to the secret of the token's app: it is missing or wrong.",
        )
        for text in ("app secret proof", "appsecret_proof")
    ),
    _person({3, 10}, PermissionMissing, TokenReason.PERMISSION_REMOVED),
    _person(range(200, 300), PermissionMissing, TokenReason.PERMISSION_REMOVED),
)
_OBJECTS = (
    _rule({100, 2642}, Treatment.NEVER, CursorRefused, text="cursor"),
    _rule(2642, Treatment.NEVER, CursorRefused),
    _rule(100, Treatment.NEVER, ConversationMissing, subcodes=33, about=Subject.CONVERSATION),
    _person(100, PageNotVisible, TokenReason.PAGE_NOT_VISIBLE, subcodes=33),
    _person(
        100,
        PageNotVisible,
        TokenReason.PAGE_NOT_VISIBLE,
        subcodes=2534013,
        hint="Link a professional Instagram account to the Page first.",
    ),
    _rule(9000001, Treatment.NEVER, MessageUnreadable),
)

RULES: tuple[Rule, ...] = (
    *_LIMITS,
    *_TOKENS,
    *_NOT_FOR_READERS,
    *_PERMISSIONS,
    *_OBJECTS,
    _rule({1, 2, -2}, Treatment.AGAIN, AnswerFailed),
)
_NO_CONNECTION = Rule(treatment=Treatment.AGAIN, error=SourceUnreachable)
_REPEATED_CURSOR = Rule(treatment=Treatment.AGAIN, error=CursorRefused)
_TRANSIENT = Rule(treatment=Treatment.AGAIN, error=AnswerFailed)
_FINAL = Rule(treatment=Treatment.NEVER, error=SourceRefused)
_SERVER_ERROR = 500


def rule_for(fault: Fault, *, about: Subject = Subject.PAGE) -> Rule:
    """The row that decides about `fault`, met by a call about that."""
    if not fault.is_answered:
        return _NO_CONNECTION
    if fault.repeats_cursor:
        return _REPEATED_CURSOR
    for rule in RULES:
        if rule.fits(fault, about):
            # Meta's own word for it: what is said to pass is tried again, and only then believed.
            passes = fault.is_transient and rule.treatment in (Treatment.HUMAN, Treatment.NEVER)
            return replace(rule, treatment=Treatment.AGAIN) if passes else rule
    # Everything without an envelope (resets, HTML, empty, cut) has been seen to pass (graph-facts 3).
    transient = fault.code is None or fault.is_transient or (fault.status or 0) >= _SERVER_ERROR
    return _TRANSIENT if transient else _FINAL
