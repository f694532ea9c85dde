"""One method for each endpoint of the Graph API that we read; each returns records."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from inboxsync.clock import Clock
from inboxsync.errors import PageNotVisible
from inboxsync.graph.access import Access, App, decode_token_end
from inboxsync.graph.body import fast_conversations, fast_messages
from inboxsync.graph.decode import identifier
from inboxsync.graph.errors import RetryPolicy, Subject
from inboxsync.graph.quotas import Endpoint
from inboxsync.graph.rate_limiter import RateLimiter
from inboxsync.graph.records import read_batch, read_conversation, read_messages
from inboxsync.graph.requests import (
    Call,
    CallCounts,
    Calls,
    Fields,
    Params,
    Retrying,
    list_params,
    window_params,
)
from inboxsync.model import Batch, Conversation, MessageBatch, TokenReason, Window

if TYPE_CHECKING:
    from inboxsync.graph.transport import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIdentity:
    """A Page as Meta knows it, and until when its token is valid; the rest as in `Page`."""

    page_id: str
    name: str | None
    account_id: str
    token_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRate:
    """How fast an inbox can be read now.

    `latency_seconds` is the smoothed time from sending a list call to its whole answer, None before
    the first answer. `calls_per_second` is None if nothing limits the calls.
    """

    latency_seconds: float | None
    calls_per_second: float | None


class GraphClient:
    """Reads one Graph API for any number of Pages.

    `http` is the transport to the API's address and version. Every `fetch_` method may raise any
    SourceError.
    """

    def __init__(
        self,
        *,
        http: "Transport",
        rate_limiter: RateLimiter,
        policy: RetryPolicy,
        clock: Clock,
        version: str,
        app: App | None = None,
    ) -> None:
        self._clock = clock
        self._app = app
        self._fields = Fields()
        self._calls = Calls(
            http=http,
            rate_limiter=rate_limiter,
            policy=policy,
            clock=clock,
            version=version,
            fields=self._fields,
            app=app,
        )
        self.rate_limiter = rate_limiter

    def counts(self, access: Access) -> CallCounts:
        """The calls made for this inbox so far."""
        return self._calls.counts(access)

    def watched(self, access: Access, on_retry: Callable[[Retrying], None]) -> AbstractContextManager[None]:
        """Inside, `on_retry` is called for every call about this inbox that is made again."""
        return self._calls.watched(access, on_retry)

    def call_rate(self, access: Access) -> CallRate:
        """How fast this inbox can be read now."""
        return CallRate(
            latency_seconds=self._calls.latency_seconds(access),
            calls_per_second=self.rate_limiter.calls_per_second(access),
        )

    async def fetch_page(self, access: Access) -> PageIdentity:
        """The Page's id, name and account.

        Raises PageNotVisible if the token cannot see the Page, or if an Instagram inbox is wanted
        and no Instagram account is linked.
        """
        fields = "id,name,instagram_business_account{id,username}" if access.is_instagram else "id,name"
        call = Call(
            access=access,
            endpoint=Endpoint.PAGE,
            path=_quoted(access.page_id),
            params=lambda: {"fields": fields},
            about=Subject.PAGE_NODE,
        )
        answer = await self._calls.get(call, lambda answer: answer)
        page_id = identifier(answer.body.get("id")) or access.page_id
        name = answer.body.get("name")
        linked = answer.body.get("instagram_business_account")
        account_id = identifier(linked.get("id")) if isinstance(linked, dict) else None
        if access.is_instagram and account_id is None:
            raise PageNotVisible(
                f"No Instagram account is linked to Page {page_id}.",
                hint="Link a professional Instagram account to the Page first.",
                reason=TokenReason.PAGE_NOT_VISIBLE,
            )
        return PageIdentity(
            page_id=page_id, name=name if isinstance(name, str) else None, account_id=account_id or page_id
        )

    async def fetch_token_end(self, access: Access) -> datetime | None:
        """When this inbox's token ends; None: never, or not known.

        Meta answers only to the app itself, so its id and its secret are needed (graph-facts 1.9).
        """
        if self._app is None or (app_token := self._app.token) is None:
            return None
        call = Call(
            access=replace(access, token=app_token),
            endpoint=Endpoint.PAGE,
            path="debug_token",
            params=lambda: {"input_token": access.token},
        )
        data = await self._calls.get(call, lambda answer: answer.body.get("data"))
        return decode_token_end(data) if isinstance(data, dict) else None

    async def fetch_conversations(
        self,
        access: Access,
        *,
        folder: str | None = None,
        window: Window | None = None,
        after: str | None,
        limit: int,
        messages: int,
        attempts: int | None = None,
    ) -> Batch:
        """One batch of the list, newest first, each conversation with its newest `messages` messages.

        Without a `folder`, Meta chooses. It is not known whether Meta honours a `window`
        (graph-facts 1.3). On Instagram at most 20 messages: only these have details.
        """
        return await self._list(
            access,
            Endpoint.CONVERSATIONS,
            lambda: self._fields.conversations(access.platform, messages=messages),
            folder=folder,
            window=window,
            after=after,
            limit=limit,
            attempts=attempts,
        )

    async def fetch_conversation_times(
        self,
        access: Access,
        *,
        folder: str | None = None,
        window: Window | None = None,
        after: str | None,
        limit: int,
    ) -> Batch:
        """The same list with only ids and times: enough to find a place in it again."""
        return await self._list(
            access,
            Endpoint.TIMES,
            self._fields.times,
            folder=folder,
            window=window,
            after=after,
            limit=limit,
        )

    async def fetch_summary(
        self,
        access: Access,
        *,
        folder: str | None = None,
        window: Window | None = None,
        after: str | None,
        limit: int,
        message_ids: int = 0,
        attempts: int | None = None,
    ) -> Batch:
        """The same list with what it takes to verify: ids, times, counts.

        With `message_ids`, each conversation also has the ids of its newest so many messages.
        """
        return await self._list(
            access,
            Endpoint.SUMMARY,
            lambda: self._fields.summary(message_ids=message_ids),
            folder=folder,
            window=window,
            after=after,
            limit=limit,
            attempts=attempts,
        )

    async def fetch_conversation(
        self, access: Access, conversation_id: str, *, messages: int
    ) -> Conversation:
        """One conversation by its own node, with its newest messages as in the list.

        Raises ConversationMissing, or MessageUnreadable.
        """
        call = Call(
            access=access,
            endpoint=Endpoint.CONVERSATION,
            path=_quoted(conversation_id),
            params=lambda: {"fields": self._fields.conversations(access.platform, messages=messages)},
            about=Subject.CONVERSATION,
        )
        return await self._calls.get(call, partial(read_conversation, access=access))

    async def fetch_messages(
        self, access: Access, conversation_id: str, *, after: str | None, limit: int, ids_only: bool = False
    ) -> MessageBatch:
        """One batch of a conversation's messages, newest first; `ids_only` for ids and times.

        Raises ConversationMissing, MessageUnreadable, or CursorRefused.
        """
        call = Call(
            access=access,
            endpoint=Endpoint.MESSAGES,
            path=f"{_quoted(conversation_id)}/messages",
            params=lambda: list_params(
                fields=self._fields.messages(access.platform, ids_only=ids_only), limit=limit, after=after
            ),
            about=Subject.CONVERSATION,
            fast=fast_messages,
        )
        read = partial(read_messages, access=access, sent=after, asked_for_details=not ids_only)
        return await self._calls.get(call, read)

    async def _list(
        self,
        access: Access,
        endpoint: Endpoint,
        fields: Callable[[], str],
        *,
        folder: str | None,
        window: Window | None,
        after: str | None,
        limit: int,
        attempts: int | None = None,
    ) -> Batch:
        def params() -> Params:
            asked: Params = {"platform": access.platform.value}
            if folder is not None:
                asked["folder"] = folder
            return asked | list_params(fields=fields(), limit=limit, after=after) | window_params(window)

        call = Call(
            access=access,
            endpoint=endpoint,
            path=f"{_quoted(access.page_id)}/conversations",
            params=params,
            attempts=attempts,
            fast=fast_conversations,
        )
        read = partial(
            read_batch,
            access=access,
            sent=after,
            asked_for_details=endpoint is Endpoint.CONVERSATIONS,
            clock=self._clock,
        )
        return await self._calls.get(call, read)


def _quoted(identifier: str) -> str:
    """As one part of a path, whatever it holds: old ids have slashes, and a person may have typed it."""
    return quote(identifier, safe="")
