"""What can go wrong: every error that inboxsync raises on purpose.

    InboxsyncError
      Unexpected             a bug in inboxsync
      SettingsInvalid        an environment variable or an argument cannot be used
      ApiKeyNameTaken        an API key of this name was created before
      ApiKeyUnknown          no API key of this name was ever created
      SearchInvalid          the search text contains nothing to search for
      PageUnknown            the database has no such Page
      PageAmbiguous          a text that names more than one Page
      RunUnknown             the database has no such run
      WorkerRunning          this process already has a worker
      PageBusy               another process syncs or verifies this Page
      LeaseLost              another process has taken over this Page
      SourceError            Meta's Graph API
        SourceUnreachable    no answer, or none that could be read, after every attempt
          AnswerFailed       Meta was there, and every answer to this call failed
        QuotaSpent           Meta blocks calls for longer than this command waits
        SourceRefused        Meta refused, and would refuse again
        AnswerTooLarge       code 1: a smaller request would succeed
        CursorRefused        Meta no longer knows this cursor
        Stalled              calls are answered, but bring nothing new
        ConversationMissing  Meta does not serve this conversation
        MessageUnreadable    Meta lists these messages but serves no details
        NeedsPerson          a person must act on the token or a permission
          TokenInvalid
          TokenUndecryptable the secret key does not decrypt the stored token
          PermissionMissing
          PageNotVisible
      StoreError             the user's database
        StoreUnavailable     it cannot be opened, read or written
          StoreUnreachable   not now: the same would succeed later
          StoreFull          its disk is full
        StoreTooNew          a newer inboxsync created it
        StoreOutdated        it needs `inboxsync db upgrade`
      OutputFailed           a file cannot be written or read
      FileIncomplete           an exported file is incomplete or changed

`api.problems` has those of the HTTP service. Each has a stable `code` for scripts and a `hint`: the next
thing to do. A message is one sentence, and contains neither a token nor a key.
"""

from typing import ClassVar


class InboxsyncError(Exception):
    """Anything this project raises on purpose."""

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint


class Unexpected(InboxsyncError):
    """A bug in inboxsync; the log shows where."""

    code = "unexpected"
    default_hint = "Report this bug with the log lines above. Stored data is kept; the next run continues."


class SettingsInvalid(InboxsyncError):
    """An environment variable or an argument cannot be used."""

    code = "settings_invalid"
    default_hint = "Correct it, then run the command again."


class ApiKeyNameTaken(InboxsyncError):
    """An API key of this name was created before; no name is used twice, so that logs stay clear."""

    code = "api_key_name_taken"
    default_hint = "Choose another name: `inboxsync keys list` shows the names that were used."


class ApiKeyUnknown(InboxsyncError):
    """No API key of this name was ever created."""

    code = "api_key_unknown"
    default_hint = "`inboxsync keys list` shows the keys."


class SearchInvalid(InboxsyncError):
    """The search text contains nothing to search for."""

    code = "search_invalid"
    default_hint = 'Search for words, a "phrase", or the beginning of a word with an asterisk.'


class PageUnknown(InboxsyncError):
    """The database has no such Page."""

    code = "page_unknown"
    default_hint = "Add it with `inboxsync pages add PAGE_ID`; `inboxsync pages list` shows the Pages."


class PageAmbiguous(InboxsyncError):
    """A text that names more than one Page: two have this name, or one was added for two platforms."""

    code = "page_ambiguous"
    default_hint = "Name the Page by our own id, which `inboxsync pages list --json` shows as id."


class RunUnknown(InboxsyncError):
    """The database has no such run."""

    code = "run_unknown"
    default_hint = "`inboxsync runs` shows the ids of the newest runs."


class WorkerRunning(InboxsyncError):
    """A process can have one DBOS, and therefore one worker."""

    code = "worker_running"
    default_hint = "Start the second worker in another process."


class PageBusy(InboxsyncError):
    """Another process syncs or verifies this Page: no error, and nothing was done."""

    code = "page_busy"
    default_hint = "Nothing was done. Add --wait to wait until the other process has finished."


class LeaseLost(InboxsyncError):
    """Another process has taken over this Page while this one was frozen or had lost its connection."""

    code = "lease_lost"
    default_hint = "Nothing is lost: the other process continues where this one stopped."


class SourceError(InboxsyncError):
    """An error with Meta's Graph API."""

    code = "source_error"


class SourceUnreachable(SourceError):
    """No answer, or none that could be read, after every attempt."""

    code = "source_unreachable"
    default_hint = "Check the network and INBOXSYNC_GRAPH_URL, then run it again. Stored data is kept."


class AnswerFailed(SourceUnreachable):
    """Meta was there, and every answer to this call failed: code 1, HTML, cut, too slow.

    One unreadable conversation makes a whole list answer fail (graph-facts 3): a smaller call may succeed.
    """

    code = "answer_failed"
    default_hint = "Run it again later. Stored data is kept."


class QuotaSpent(SourceError):
    """Meta blocks calls for longer than the caller waits."""

    code = "quota_spent"
    default_hint = "Run it again after that time."


class SourceRefused(SourceError):
    """Meta refused, and would refuse again."""

    code = "source_refused"
    default_hint = "Run it again later. If the error stays, report it with the code and trace id shown."


class AnswerTooLarge(SourceError):
    """Graph code 1: a repeat fails, a smaller request succeeds (graph-facts 3)."""

    code = "answer_too_large"
    default_hint = "Ask for fewer messages a conversation: `--messages 5`."


class Stalled(SourceError):
    """Calls are answered, but bring nothing new."""

    code = "stalled"
    default_hint = "Run it again later. If it stops at the same place, report it. Stored data is kept."


class CursorRefused(SourceError):
    """Meta no longer knows this cursor; the list must be read from another place (graph-facts 1.8)."""

    code = "cursor_refused"
    default_hint = "Run it again: it finds its place in the list by time."


class ConversationMissing(SourceError):
    """Meta does not serve this conversation: deleted, or not for this token (graph-facts 3, 100/33)."""

    code = "conversation_missing"
    default_hint = "Run `inboxsync verify PAGE_ID`: it compares with Meta and marks what is gone."


class MessageUnreadable(SourceError):
    """Code 9000001: on Instagram only the 20 newest have details; not a deletion (graph-facts 1.6)."""

    code = "message_unreadable"
    default_hint = "Nothing can be done: Instagram does not let any app read them."


class NeedsPerson(SourceError):
    """Nothing continues until a person acts on the token or a permission.

    `reason` is its value in `model.TokenReason`, if Meta's answer shows one.
    """

    code = "needs_person"

    def __init__(self, message: str, *, hint: str | None = None, reason: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class TokenInvalid(NeedsPerson):
    """The token is wrong, expired or revoked."""

    code = "token_invalid"
    default_hint = "Get a new Page token, then add the Page again: `inboxsync pages add PAGE_ID`."


class TokenUndecryptable(NeedsPerson):
    """The secret key does not decrypt the stored token; the token itself may be valid."""

    code = "token_undecryptable"
    default_hint = (
        "Set the INBOXSYNC_SECRET_KEY that the Page was added with, or add the Page again with its token."
    )


class PermissionMissing(NeedsPerson):
    """The token is valid, but may not read this."""

    code = "permission_missing"
    default_hint = (
        "Grant pages_messaging, pages_manage_metadata and pages_read_engagement to the app (for Instagram "
        "also instagram_basic and instagram_manage_messages), then add the Page again with a new token."
    )


class PageNotVisible(NeedsPerson):
    """The Page does not exist, or this token cannot see it."""

    code = "page_not_visible"
    default_hint = "Check the Page id, and that the token belongs to this Page."


class StoreError(InboxsyncError):
    """The user's database."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot be opened, read or written."""

    code = "store_unavailable"
    default_hint = "Check the path, its permissions and the free space, then run it again."


class StoreUnreachable(StoreUnavailable):
    """Not now: the server restarts, the connection was lost, or another process holds a lock.

    The transaction was rolled back; the same would succeed later.
    """

    code = "store_unreachable"
    default_hint = "Run it again when the database is back. Stored data is kept."


class StoreFull(StoreUnavailable):
    """The database's disk is full."""

    code = "store_full"
    default_hint = "Free some space, then run it again."


class StoreReplaced(StoreUnavailable):
    """The database's file is no longer the one that was opened: what is written now would be lost."""

    code = "store_replaced"
    default_hint = "Put the file back where it was, or let the new one stay, then run it again."


class StoreTooNew(StoreError):
    """A newer inboxsync created this database."""

    code = "store_too_new"
    default_hint = "Update inboxsync, or set INBOXSYNC_DATABASE_URL to another database."


class StoreOutdated(StoreError):
    """The database's schema is older; it is not changed without being asked to."""

    code = "store_outdated"
    default_hint = "Run `inboxsync db upgrade`."


class OutputFailed(InboxsyncError):
    """A file cannot be written or read."""

    code = "output_failed"
    default_hint = "Check the path, its permissions and the free space, then run it again."


class FileIncomplete(InboxsyncError):
    """An exported file is not as it was exported: it was cut or changed."""

    code = "file_incomplete"
    default_hint = "Export it again."
