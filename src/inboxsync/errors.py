"""What can go wrong, as facts.

    InboxsyncError
      Unexpected             a mistake of ours
      SettingsInvalid        the environment or an argument is not usable
      ApiKeyNameTaken        a key of this name was made before
      ApiKeyUnknown          no key of this name was ever made
      SearchInvalid          nothing that could be searched for
      PageUnknown            the database has no such Page
      RunUnknown             the database has no such run
      WorkerRunning          this process has a worker already
      PageBusy               another process syncs or verifies this Page
      LeaseLost              another process has taken this Page over from us
      SourceError            Meta's Graph API
        SourceUnreachable    no answer, or none that could be read, after every attempt
          AnswerFailed       the source was there, and every answer to this call failed
        AllowanceSpent       Meta lets no call through for longer than we were asked to wait
        SourceRefused        an answer that says no, and would again
        AnswerTooLarge       code 1: asking for less would succeed
        CursorRefused        the source no longer knows this cursor
        Stalled              calls are answered, and nothing comes of them
        ConversationMissing  the source does not serve this conversation
        MessageUnreadable    the source names these messages and tells no details
        NeedsPerson          somebody has to act on the token or a permission
          TokenInvalid
          TokenSealed        this key does not open the stored token
          PermissionMissing
          PageNotVisible
      StoreError             the user's database
        StoreUnavailable     it cannot be opened or written
          StoreUnreachable   not now: the same would succeed later
          StoreFull          there is no room left on its disk
        StoreTooNew          a newer inboxsync made it
        StoreOutdated        it waits for `inboxsync db upgrade`
      OutputFailed           a file that was asked for cannot be written or read
      FileNotWhole           an exported file is not what was exported

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
    """A mistake of ours; the log has where."""

    code = "unexpected"
    default_hint = (
        "Report it with the log lines above; what is stored stays stored, and the next run goes on."
    )


class SettingsInvalid(InboxsyncError):
    """The environment or an argument is not usable."""

    code = "settings_invalid"
    default_hint = "Correct it and run the command again."


class ApiKeyNameTaken(InboxsyncError):
    """A key of this name was made before; a name is never used twice, so that logs stay clear."""

    code = "api_key_name_taken"
    default_hint = "Take another name; `inboxsync keys list` shows those that were used."


class ApiKeyUnknown(InboxsyncError):
    """No key of this name was ever made."""

    code = "api_key_unknown"
    default_hint = "`inboxsync keys list` shows what is there."


class SearchInvalid(InboxsyncError):
    """What was typed is nothing that could be searched for."""

    code = "search_invalid"
    default_hint = 'Give words, a "phrase", or the beginning of a word and an asterisk.'


class PageUnknown(InboxsyncError):
    """The database has no such Page."""

    code = "page_unknown"
    default_hint = "Add it with `inboxsync pages add PAGE_ID`; `inboxsync pages list` shows what is there."


class RunUnknown(InboxsyncError):
    """The database has no such run."""

    code = "run_unknown"
    default_hint = "`inboxsync runs --json` tells the ids of the newest."


class WorkerRunning(InboxsyncError):
    """DBOS is one in a process, so a worker is too."""

    code = "worker_running"
    default_hint = "Start the second one in a process of its own."


class PageBusy(InboxsyncError):
    """Another process syncs or verifies this Page: nothing went wrong, and nothing was done."""

    code = "page_busy"
    default_hint = "Nothing was done, and nothing is wrong. With --wait it waits for its turn."


class LeaseLost(InboxsyncError):
    """Another process has taken this Page over while this one was frozen or cut off."""

    code = "lease_lost"
    default_hint = "Nothing is lost: the other process goes on where this one stood."


class SourceError(InboxsyncError):
    """Something between us and Meta's Graph API."""

    code = "source_error"


class SourceUnreachable(SourceError):
    """No answer, or none that could be read, after every attempt."""

    code = "source_unreachable"
    default_hint = (
        "Check the network and INBOXSYNC_GRAPH_URL, then run it again: what is stored stays stored."
    )


class AnswerFailed(SourceUnreachable):
    """The source was there, and every answer to this call failed: code 1, HTML, cut, too slow.

    One bad conversation does this to a whole list answer (graph-facts 3), so a smaller call may succeed.
    """

    code = "answer_failed"
    default_hint = "Run it again later: what is stored stays stored."


class QuotaSpent(SourceError):
    """Meta lets no call through for longer than the caller waits."""

    code = "quota_spent"
    default_hint = "Run it again then."


class SourceRefused(SourceError):
    """An answer that says no, and would say no again."""

    code = "source_refused"
    default_hint = "Run it again later; if it says the same, report it with the code and trace id shown."


class AnswerTooLarge(SourceError):
    """Graph code 1: a repeat fails, a smaller request succeeds (graph-facts 3)."""

    code = "answer_too_large"
    default_hint = "Ask for fewer messages a conversation: `--messages 5`."


class Stalled(SourceError):
    """Calls are answered, and nothing comes of them."""

    code = "stalled"
    default_hint = (
        "Run it again later; if it stops at the same place, report it: what is stored stays stored."
    )


class CursorRefused(SourceError):
    """The source no longer knows this cursor; the list has to be entered anew (graph-facts 1.8)."""

    code = "cursor_refused"
    default_hint = "Run it again: it finds its place by time."


class ConversationMissing(SourceError):
    """The source does not serve this conversation: gone, or not for this token (graph-facts 3, 100/33)."""

    code = "conversation_missing"
    default_hint = "`inboxsync verify PAGE_ID` compares with the source and marks what is gone."


class MessageUnreadable(SourceError):
    """Code 9000001: only the 20 newest have details on Instagram; not a deletion (graph-facts 1.6)."""

    code = "message_unreadable"
    default_hint = "Nothing can be done: the platform lets nobody read them."


class NeedsPerson(SourceError):
    """Nothing continues until somebody acts on the token or a permission.

    `reason` is the word of `model.TokenReason` for it, where the source's answer told one.
    """

    code = "needs_person"

    def __init__(self, message: str, *, hint: str | None = None, reason: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class TokenInvalid(NeedsPerson):
    """The token is wrong, expired or was taken back."""

    code = "token_invalid"
    default_hint = "Get a new Page token and hand it over with `inboxsync pages add PAGE_ID`."


class TokenUndecryptable(NeedsPerson):
    """This key does not open the stored token; of the token itself nothing is known."""

    code = "token_undecryptable"
    default_hint = "Set the INBOXSYNC_SECRET_KEY it was added with, or add the Page again with its token."


class PermissionMissing(NeedsPerson):
    """The token is alive and may not read this."""

    code = "permission_missing"
    default_hint = (
        "Grant pages_messaging, pages_manage_metadata and pages_read_engagement to the app (for Instagram "
        "also instagram_basic and instagram_manage_messages), then add the Page again with a new token."
    )


class PageNotVisible(NeedsPerson):
    """The Page does not exist, or this token cannot see it."""

    code = "page_not_visible"
    default_hint = "Check the Page id, and that the token is this Page's own."


class StoreError(InboxsyncError):
    """The user's database."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot be opened, read or written."""

    code = "store_unavailable"
    default_hint = "Check the path, its permissions and the free space, then run it again."


class StoreUnreachable(StoreUnavailable):
    """Not now: a server that restarts, a connection lost, a lock held, others writing at the same moment.

    The transaction left nothing behind, and the same would succeed later.
    """

    code = "store_unreachable"
    default_hint = "Run it again when the database is back: what is stored stays stored."


class StoreFull(StoreUnavailable):
    """There is no room left on the database's disk."""

    code = "store_full"
    default_hint = "Free some space, then run it again."


class StoreTooNew(StoreError):
    """A newer inboxsync made this database."""

    code = "store_too_new"
    default_hint = "Update inboxsync, or point INBOXSYNC_DATABASE_URL at another database."


class StoreOutdated(StoreError):
    """The database's schema is behind, and is not ours to change unasked."""

    code = "store_outdated"
    default_hint = "Run `inboxsync db upgrade`."


class OutputFailed(InboxsyncError):
    """A file that was asked for cannot be written or read."""

    code = "output_failed"
    default_hint = "Check the path, its permissions and the free space, then run it again."


class FileNotWhole(InboxsyncError):
    """An exported file is not what was exported: cut on its way, or changed since."""

    code = "file_not_whole"
    default_hint = "Export it again."
