"""Graph's refusals, as graph-facts 3 records them."""

from typing import Any

from inboxsync.sandbox.config import Faults

_BAD_REQUEST = 400


class Refusal(Exception):  # the word for an answer that says no
    """An error answer: the envelope and its HTTP status."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        subcode: int | None = None,
        kind: str = "OAuthException",
        status: int = _BAD_REQUEST,
        is_transient: bool | None = None,
        user_message: str | None = None,
        is_bare: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.subcode = subcode
        self.kind = kind
        self.status = status
        self.is_transient = is_transient
        self.user_message = user_message
        self.is_bare = is_bare

    def envelope(self, trace_id: str) -> dict[str, Any]:
        """The body. The "reduce the amount of data" error has been seen with code and message alone."""
        if self.is_bare:
            return {"error": {"code": 1, "message": self.message}}
        error: dict[str, Any] = {"message": self.message, "type": self.kind, "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.is_transient is not None:
            error["is_transient"] = self.is_transient
        if self.user_message is not None:
            error["error_user_msg"] = self.user_message
        return {"error": error | {"fbtrace_id": trace_id}}

    @property
    def challenge(self) -> str:
        """The `WWW-Authenticate` header."""
        reason = "invalid_token" if self.code in (190, 102) else "invalid_request"
        return f'OAuth "Facebook Platform" "{reason}" "{self.message}"'


def unknown_object(object_id: str) -> Refusal:
    """No such object, or not visible with this token."""
    return Refusal(
        100,
        f"Unsupported get request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation. Please read the Graph API documentation",
        subcode=33,
        kind="GraphMethodException",
    )


def unsupported(method: str) -> Refusal:
    """The sandbox only reads, but for subscriptions."""
    return Refusal(
        100,
        f"Unsupported {method.lower()} request. Please read the Graph API documentation",
        subcode=33,
        kind="GraphMethodException",
    )


def no_user() -> Refusal:
    """`/me` without a token, or with the app's: it means no one."""
    return Refusal(2500, "An active access token must be used to query information about the current user.")


def page_token_needed() -> Refusal:
    """A person's token where a Page's is needed."""
    return Refusal(210, "(#210) A page access token is required to request this resource.", status=403)


def unknown_field(name: str, node: str) -> Refusal:
    """A field that this type of node does not have."""
    return Refusal(100, f"(#100) Tried accessing nonexisting field ({name}) on node type ({node})")


def no_subfields(name: str) -> Refusal:
    """A plain value that was expanded (the code is our assumption, graph-facts 7)."""
    return Refusal(100, f"(#100) Subfields are not supported by {name}")


def bad_syntax(fields: str) -> Refusal:
    """`fields` that cannot be parsed."""
    return Refusal(2500, f'Syntax error "Expected end of string" in the fields: {fields[:60]}')


def bad_cursor() -> Refusal:
    """An unknown cursor, or one of another list; that the code is 100 is our assumption (graph-facts 8)."""
    return Refusal(100, "(#100) Invalid cursors values: the cursor does not belong to this list")


def too_deep() -> Refusal:
    """An `after` that is deeper than Graph reads (graph-facts 1.8)."""
    return Refusal(100, "(#100) The After Cursor specified exceeds the max limit supported by this endpoint")


def dead_token(subcode: int | None = None) -> Refusal:
    """A token that is wrong (no subcode), or has died for a reason."""
    reasons = {
        458: "The user has not authorized application.",
        459: "The user is checkpointed: they must log in at www.facebook.com.",
        460: "The session has been invalidated because the user changed the password.",
        463: "Session has expired.",
        464: "The user is not a confirmed user.",
        467: "This may be because the user logged out or may be due to a system error.",
        490: "The user must approve the login.",
        492: "The user must be an administrator, editor, or moderator of the page.",
    }
    if subcode is None:
        return Refusal(190, "Invalid OAuth access token - Cannot parse access token")
    return Refusal(
        190,
        f"Error validating access token: {reasons.get(subcode, 'It is no longer valid.')}",
        subcode=subcode,
    )


def too_much() -> Refusal:
    """Code 1: the same call would fail again, a smaller one would not."""
    return Refusal(
        1,
        "Please reduce the amount of data you're asking for, then retry your request",
        status=500,
        is_bare=True,
    )


def any_refusal(code: int, subcode: int | None, words: str | None = None) -> Refusal:
    """A code of the table in graph-facts 3, with the status it has there."""
    status = 500 if code in (1, 2) else 403 if code in (4, 10, 230, 368) or 200 <= code <= 299 else 400
    return Refusal(
        code,
        f"(#{code}) Refused by the sandbox" if words is None else words,
        subcode=subcode,
        status=status,
        is_transient=True if code == 4 else None,
    )


def refused_fields(faults: Faults, names: list[str], node: str, locale: str) -> Refusal:
    """Fields that are no longer served, in the words and the language asked for."""
    code = faults.refuse_fields_code
    words = faults.refuse_fields_words
    if words is None:
        language = "en" if locale.startswith("en") else faults.refuse_fields_language
        words = f"(#{code}) " + _NO_FIELD[language, code == 100]
    for name, value in {"{field}": names[0], "{fields}": ", ".join(names), "{node}": node}.items():
        words = words.replace(name, value)
    return Refusal(code, words)


# By language, and whether the code is 100.
_NO_FIELD = {
    ("en", True): "Tried accessing nonexisting field ({field}) on node type ({node})",
    ("fr", True): "Tentative d'accès à un champ inexistant ({field}) sur le type de noeud ({node})",
    (
        "de",
        True,
    ): "Zugriff auf ein nicht vorhandenes Feld ({field}) des Knotentyps ({node})",
    ("en", False): "{field} field is deprecated for versions v26.0 and higher",
    ("fr", False): "Le champ {field} est obsolète à partir de la version v26.0",
    ("de", False): "Das Feld {field} gibt es ab Version v26.0 nicht mehr",
}


def unreadable_message() -> Refusal:
    """A message beyond the 20 newest of an Instagram conversation: not a deletion (graph-facts 1.6)."""
    return Refusal(9000001, "This Message has been deleted by the user or the business.")
