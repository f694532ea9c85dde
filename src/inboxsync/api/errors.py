"""What is wrong with a request, as facts; `problems` tells each to its caller.

RequestError           what somebody asked of the HTTP service
RequestInvalid       its fields or its body are not usable
CursorInvalid      a cursor that this list did not hand out
RunUnknown           the database has no such run
ConversationUnknown  the database has no such conversation
CertificateUnknown   this Page was never verified
PageMismatch         two ids that name different Pages
BodyTooLarge         more than is read
HostUnknown          a Host header that this service does not answer to
OriginRefused        a page of another site asks
KeyMissing           no API key was shown
KeyInvalid           one that opens nothing
KeyGuessing          too many of these from one address
ScopeTooSmall        a key that does not open this
QueueUnavailable     this service was started without a queue
"""

from inboxsync.errors import RequestError


class RequestInvalid(RequestError):
    """Its fields or its body are not usable."""

    code = "request_invalid"
    default_hint = "Correct it and ask again; /docs shows what is understood."


class CursorInvalid(RequestInvalid):
    """A cursor that this list did not hand out."""

    code = "cursor_invalid"
    default_hint = "Begin again without a cursor, and pass on `nextCursor` as it is."


class ConversationUnknown(RequestError):
    """The database has no such conversation."""

    code = "conversation_unknown"
    default_hint = "GET /api/v1/conversations lists what is there, with our own ids."


class ContactUnknown(RequestError):
    """The database has no such contact."""

    code = "contact_unknown"
    default_hint = "GET /api/v1/contacts lists what is there."


class VerificationUnknown(RequestError):
    """This Page was never verified."""

    code = "verification_unknown"
    default_hint = "POST to the Page's /verify first."


class PageMismatch(RequestError):
    """Two ids that name different Pages."""

    code = "page_mismatch"
    default_hint = "pageId is facebook_pages.id and facebookPageId is Meta's: GET /api/v1/pages has both."


class BodyTooLarge(RequestError):
    """More than is read."""

    code = "body_too_large"
    default_hint = "No request of this service needs so much; INBOXSYNC_MAX_BODY_BYTES sets the limit."


class HostUnknown(RequestError):
    """A Host header that this service does not answer to: a web page may have pointed its name here."""

    code = "host_unknown"
    default_hint = "Name the host in INBOXSYNC_ALLOWED_HOSTS."


class OriginRefused(RequestError):
    """A page of another site asks, without a key."""

    code = "origin_refused"
    default_hint = "Ask with an API key, or name the site in INBOXSYNC_CORS_ORIGINS."


class KeyMissing(RequestError):
    """No API key was shown."""

    code = "key_missing"
    default_hint = "Send `Authorization: Bearer KEY` or `X-API-Key: KEY`; `inboxsync keys create` makes one."


class KeyInvalid(RequestError):
    """An API key that opens nothing: wrong, or revoked."""

    code = "key_invalid"
    default_hint = "`inboxsync keys list` shows which keys are there, and `inboxsync keys create` makes one."


class KeyGuessing(RequestError):
    """Too many keys that open nothing came from one address."""

    code = "key_guessing"
    default_hint = "Wait as long as Retry-After says, then send a key that is right."


class ScopeTooSmall(RequestError):
    """A key that does not open this."""

    code = "scope_too_small"
    default_hint = "`inboxsync keys create NAME --scope sync` (or admin) makes a key that opens more."


class QueueUnavailable(RequestError):
    """This service was started without a queue, so it cannot start a run."""

    code = "queue_unavailable"
    default_hint = "Start it with `inboxsync serve`."


class AnswerTooLate(RequestError):
    """What was asked could not be taken in time."""

    code = "answer_too_late"
    default_hint = "Ask again: what was taken already goes on."


class NothingToFollow(Exception):
    """A listener comes back though it has heard the last word: 204 tells an EventSource to stay away."""
