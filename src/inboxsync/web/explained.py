"""Errors as an owner reads them: what happened, what to do, and where; Meta's own words behind "Details".

The errors themselves are written for a terminal: they name commands, variables and codes. Here their words
are replaced, and a link or a form takes the place of each command. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from inboxsync.model import Page, TokenReason
from inboxsync.web.rendering import query


class Said(Protocol):
    """An error or a problem of a run: a stable code, one sentence, and what to do about it."""

    @property
    def code(self) -> str:
        """The kind of error."""

    @property
    def message(self) -> str:
        """What happened."""

    @property
    def hint(self) -> str:
        """The next thing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One error on the screen. `href` and `label` are the place that mends it; empty where there is none.

    `details` are Meta's own words with its code, or whatever else only a specialist asks for.
    """

    text: str
    advice: str = ""
    href: str = ""
    label: str = ""
    details: str = ""


# Kinds of errors in an owner's words, where the error's own sentence is not in them. Without a text here the
# error's own sentence stays, without codes.
_TEXTS: Final = {
    "token_invalid": "The access token of this Page does not work.",
    "permission_missing": "The access token may not read the messages of this Page.",
    "page_not_visible": "The access token cannot see this Page.",
    "token_undecryptable": "The stored access token cannot be read: the service has another secret key now.",
    "source_unreachable": "Meta could not be reached.",
    "answer_failed": "Meta did not answer as it should.",
    "quota_spent": "Meta accepts no more calls for this Page at the moment.",
    "source_refused": "Meta refused to answer.",
    "answer_too_large": "Meta could not give an answer of this size.",
    "cursor_refused": "Meta no longer knew the place in its list where the reading stopped.",
    "stalled": "Meta answered, and nothing new came.",
    "conversation_missing": "Meta no longer gives this conversation to this Page.",
    "message_unreadable": "Meta does not give these messages to any app.",
    "lease_lost": "Another process has taken over the work on this Page.",
    "cursor_invalid": "This address leads to a place in a list that is not there.",
    "store_unavailable": "The database cannot be used.",
    "store_unreachable": "The database does not answer at the moment.",
    "store_full": "The disk of the database is full.",
    "unexpected": "Something unexpected went wrong.",
}
_LATER: Final = "Nothing is to be done: it is tried again at the next sync. What is stored stays."
_ADMINISTRATOR: Final = "Please tell the person who runs this service."
_ADVICE: Final = {
    "token_undecryptable": "Enter the token again, or have the old secret key restored.",
    "source_unreachable": f"{_LATER} If it stays so, check the network of the server.",
    "answer_failed": _LATER,
    "quota_spent": "Nothing is to be done: the work goes on by itself when Meta allows it again.",
    "source_refused": f"{_LATER} If it stays so, show the details to the person who runs this service.",
    "answer_too_large": _LATER,
    "cursor_refused": _LATER,
    "stalled": f"{_LATER} If it stays so, show the details to the person who runs this service.",
    "conversation_missing": "A verification compares with Meta, and marks what is gone.",
    "message_unreadable": "",
    "lease_lost": "Nothing is lost: the work goes on there.",
    "store_unavailable": _ADMINISTRATOR,
    "store_unreachable": "Try again in a moment. What is stored stays.",
    "store_full": _ADMINISTRATOR,
    "unexpected": f"{_ADMINISTRATOR} The log of the service says more.",
    "cursor_invalid": "Begin the list again.",
    "page_busy": "Nothing was started.",
    "page_unknown": "It may have been removed.",
    "backlog_open": "Everything else is stored, and the next sync tries again.",
    "token_ends_soon": "Get a new token at Meta in time, and enter it.",
}
_REASONS: Final = {
    TokenReason.EXPIRED: "The access token of this Page has ended.",
    TokenReason.PASSWORD_CHANGED: "The Facebook password was changed, and that ended the access token.",
    TokenReason.LOGGED_OUT: "The Facebook session has ended, and with it the access token.",
    TokenReason.APP_REMOVED: "The app was removed from the Facebook account.",
    TokenReason.CHECKPOINT: "Facebook wants to check the account that gave the access token.",
    TokenReason.UNCONFIRMED: "The Facebook account that gave the access token is not confirmed.",
    TokenReason.LOGIN_APPROVAL: "A login of the Facebook account waits for approval.",
    TokenReason.ROLE_LOST: "The person who gave the access token has no role on the Page any more.",
    TokenReason.PERMISSION_REMOVED: "The access token may not read the messages of this Page.",
    TokenReason.STANDARD_ACCESS: "Meta has not reviewed the app yet, so it does not show this inbox.",
    TokenReason.BLOCKED: "Meta has blocked access to this Page for a while.",
    TokenReason.PAGE_NOT_VISIBLE: "The access token cannot see this Page.",
    TokenReason.OTHER: "The access token of this Page does not work.",
}
# Where an error is mended that is not about a Page's token.
_PLACES: Final = {
    "page_unknown": ("/", "Show all Pages"),
    "page_ambiguous": ("/", "Show all Pages"),
    "run_unknown": ("/runs", "Show all runs"),
    "conversation_unknown": ("/conversations", "Show all conversations"),
    "contact_unknown": ("/contacts", "Show all contacts"),
    "api_key_name_taken": ("/settings", "Show the keys"),
    "api_key_unknown": ("/settings", "Show the keys"),
}
_BY_TOKEN: Final = frozenset(
    {"token_invalid", "permission_missing", "page_not_visible", "token_undecryptable", "token_ends_soon"}
)
_CODE: Final = re.compile(r"\s*\(Graph error [^)]*\)")
_WITH_CODE: Final = re.compile(r"^(?P<meta>.*?\(Graph error [^)]*\)\.?)(?P<rest>.*)$", re.DOTALL)
_RUN: Final = re.compile(r"/runs/(?P<id>[0-9A-Fa-f-]{36})")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
# What only a terminal, a script or a developer can do something with.
_TECHNICAL: Final = re.compile(
    r"`|\binboxsync \w|INBOXSYNC_|/api/|\bPAGE_ID\b|(?<!\w)--\w|\bexit code|/docs\b"
)
_IN_FORMS: Final = (
    (
        re.compile(
            r",?\s*(?:then )?add the Page again(?: with (?:a new|its) token)?: `inboxsync pages add [^`]*`"
        ),
        ", then enter a new token",
    ),
    (
        re.compile(r"This is not a Page's token: `GET /me/accounts` with it lists the tokens of its Pages\."),
        "This is a person's token. Enter the Page's own: Meta's list of that person's Pages has it.",
    ),
    (
        re.compile(r"Take the Page's own token from `GET /me/accounts`"),
        "Take the Page's own token from Meta's list of that person's Pages",
    ),
    (
        re.compile(r"the token is not a Page's own: `GET /me/accounts` lists Pages with their\s+tokens\."),
        "the token is not a Page's own: Meta's list of a person's Pages has one for each.",
    ),
    (
        re.compile(r"Set INBOXSYNC_APP_SECRET to the secret of the token's app: it is missing or wrong\."),
        "The person who runs this service must set the secret of the token's app: it is missing or wrong.",
    ),
)


def explained(
    said: Said, *, page: Page | None = None, may_admin: bool = False, is_form: bool = False
) -> Explained:
    """An error, or a problem of a run of `page`. Links lead only to what the visitor may do.

    `is_form`: somebody has just sent a form, and nothing tries it again by itself.
    """
    meta, message = _apart(said.message)
    own = _plain(message)
    text = _TEXTS.get(said.code) or own or "This is not possible."
    advice = _ADVICE.get(said.code)
    if is_form and advice is not None and advice.startswith(_LATER):
        advice = advice.replace(_LATER, "Nothing was changed. Try again in a moment.")
    href, label = _place(said, page, may_admin=may_admin)
    return Explained(
        text=text,
        advice=_plain(said.hint) if advice is None else advice,
        href=href,
        label=label,
        details=meta or (said.message if said.code in _TEXTS and said.message != text else ""),
    )


def explained_token(page: Page, *, may_admin: bool) -> Explained:
    """Why the token of this Page does not work, and the form that takes a new one."""
    meta, rest = _apart(page.token_problem or "")
    href, label = _new_token(page) if may_admin else ("", "")
    advice = _plain(rest or (page.token_problem or "" if not meta else ""))
    return Explained(
        text=_REASONS[page.token_reason or TokenReason.OTHER],
        advice=advice or "Get a new Page access token at Meta, then enter it here.",
        href=href,
        label=label,
        details=meta,
    )


def plain(message: str) -> str:
    """A message inside a longer text: without Meta's codes, and without what only a terminal understands."""
    return _plain(_CODE.sub("", message)) or "It could not be read."


def _apart(message: str) -> tuple[str, str]:
    """Meta's own words with their code, and what was added to them; without a code there are none."""
    found = _WITH_CODE.match(message)
    return (found["meta"].strip(), found["rest"].strip()) if found else ("", message)


def _plain(text: str) -> str:
    for pattern, words in _IN_FORMS:
        text = pattern.sub(words, text)
    kept = (each for each in _SENTENCE.split(text.strip()) if each and not _TECHNICAL.search(each))
    said = " ".join(kept).lstrip(", ")
    return said[:1].upper() + said[1:]


def _place(said: Said, page: Page | None, *, may_admin: bool) -> tuple[str, str]:
    if said.code in _BY_TOKEN:
        return _new_token(page) if page is not None and may_admin else ("", "")
    if said.code == "page_busy" and (run := _RUN.search(said.hint)):
        return f"/runs/{run['id']}", "Open that run"
    return _PLACES.get(said.code, ("", ""))


def _new_token(page: Page) -> tuple[str, str]:
    asked = query({"id": page.facebook_page_id, "platform": page.platform.value})
    return f"/pages/new?{asked}", "Enter a new token"
