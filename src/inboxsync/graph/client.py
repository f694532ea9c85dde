"""One method an endpoint of the Graph API we read; each returns records.

Knows the wire and nothing of the store. The token travels in the Authorization header
and nowhere else, so no URL that anybody logs or keeps can hold it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import structlog

from inboxsync.clock import Clock
from inboxsync.errors import PageNotVisible, SourceRefused
from inboxsync.graph.access import Access
from inboxsync.graph.body import FaultError, decode_body
from inboxsync.graph.budget import Budget, Slot
from inboxsync.graph.decode import decode_conversations, identifier
from inboxsync.graph.faults import Fault
from inboxsync.graph.fields import Fields
from inboxsync.graph.retry import RetryPolicy, Rule, Treatment, rule_for
from inboxsync.model import Batch, Conversation, Platform

log = structlog.get_logger(__name__)

_PACE_CODES = frozenset({613})
_UNKNOWN_FIELD = 100

Params = dict[str, str | int]


@dataclass(slots=True)
class CallCounts:
    """Calls made, and how many of them were refused for their rate."""

    made: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIdentity:
    """Who a Page is to the source; `account_id` as in `Page`."""

    page_id: str
    name: str | None
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    body: dict[str, Any]
    dated_at: datetime | None


class GraphClient:
    """Reads one Graph API for any number of Pages.

    `http` has the API's address and version as its base URL. Every method may raise what
    `errors.SourceError` draws.
    """

    def __init__(
        self, *, http: httpx2.AsyncClient, budget: Budget, policy: RetryPolicy, clock: Clock, version: str
    ) -> None:
        self._http = http
        self._policy = policy
        self._clock = clock
        self._version = version
        self._fields = Fields()
        self._counts: dict[str, CallCounts] = {}
        self.budget = budget

    def counts(self, access: Access) -> CallCounts:
        """The calls made for this inbox so far."""
        return self._counts.setdefault(access.pool, CallCounts())

    async def fetch_page(self, access: Access) -> PageIdentity:
        """Who this Page is.

        Raises PageNotVisible where the token cannot see it, or no Instagram account is linked
        whose inbox is asked for.
        """
        wants_account = access.platform is Platform.INSTAGRAM
        fields = "id,name,instagram_business_account{id,username}" if wants_account else "id,name"
        answer = await self._get(access, access.page_id, lambda: {"fields": fields})
        page_id = identifier(answer.body.get("id")) or access.page_id
        name = answer.body.get("name")
        linked = answer.body.get("instagram_business_account")
        account_id = identifier(linked.get("id")) if isinstance(linked, dict) else None
        if wants_account and account_id is None:
            raise PageNotVisible(
                f"No Instagram account is linked to Page {page_id}.",
                hint="Link a professional Instagram account to the Page first.",
            )
        return PageIdentity(
            page_id=page_id, name=name if isinstance(name, str) else None, account_id=account_id or page_id
        )

    async def fetch_conversations(
        self, access: Access, *, after: str | None, limit: int, messages: int
    ) -> Batch:
        """One batch of the inbox, newest first, each conversation with its newest `messages` messages."""
        return await self._list(
            access,
            lambda: self._fields.conversations(access.platform, messages=messages),
            after=after,
            limit=limit,
        )

    async def fetch_conversation_times(self, access: Access, *, after: str | None, limit: int) -> Batch:
        """The same list, with ids and times alone: what it takes to find a place in it again."""
        return await self._list(access, self._fields.light, after=after, limit=limit)

    async def _list(
        self, access: Access, fields: Callable[[], str], *, after: str | None, limit: int
    ) -> Batch:
        def params() -> Params:
            asked: Params = {"platform": access.platform.value, "fields": fields(), "limit": limit}
            return asked | {"after": after} if after is not None else asked

        answer = await self._get(access, f"{access.page_id}/conversations", params, expects_list=True)
        conversations, dropped = decode_conversations(answer.body.get("data"), own_ids=access.own_ids)
        cursor, has_next = _paging(answer.body)
        if dropped:
            log.warning("parts of an answer could not be read", count=len(dropped), first=str(dropped[0]))
        return Batch(
            conversations=conversations,
            answered_at=answer.dated_at or self._time_by(conversations),
            after=cursor,
            has_next=has_next,
            dropped=dropped,
        )

    async def _get(
        self, access: Access, path: str, params: Callable[[], Params], *, expects_list: bool = False
    ) -> _Answer:
        """The answer to a call, after as many attempts as its failures allow."""
        failed = 0
        while True:
            try:
                answer = await self._call(access, path, params())
                if expects_list and not isinstance(answer.body.get("data"), list):
                    raise FaultError(Fault(message="The answer holds no list."))  # noqa: TRY301 - met like any other
            except FaultError as failure:
                rule = rule_for(failure.fault)
                if self._asks_for_less(failure.fault) or self._waits(access, failure.fault, rule):
                    continue
                failed += 1
                if rule.treatment is not Treatment.AGAIN or failed >= self._policy.attempts:
                    raise _error(rule, failure.fault, failed) from None
                pause = self._policy.pause_seconds(failed)
                log.warning(
                    "call failed, trying again", why=str(failure.fault), attempt=failed, pause_seconds=pause
                )
                await self._clock.sleep(pause)
            else:
                self.budget.accepted(access.pool)
                return answer

    def _asks_for_less(self, fault: Fault) -> bool:
        """Whether the call failed for a field that we can do without, and now will."""
        field = self._fields.drop_refused(fault.message) if fault.code == _UNKNOWN_FIELD else None
        if field is not None:
            log.warning("the source no longer serves a field; going on without it", field=field)
        return field is not None

    def _waits(self, access: Access, fault: Fault, rule: Rule) -> bool:
        """Whether the call was refused for its rate; the budget then holds the next one back."""
        if rule.treatment is not Treatment.LATER:
            return False
        self.counts(access).refused += 1
        self.budget.refused(access.pool, pace_only=fault.code in _PACE_CODES)
        return True

    async def _call(self, access: Access, path: str, params: Params) -> _Answer:
        """One call, once. Raises FaultError."""
        slot = await self.budget.acquire(access.pool)
        try:
            response = await self._http.get(
                path,
                params=params,
                headers={"Authorization": f"Bearer {access.token}"},
                extensions={"trace": _on_wire(slot)},
            )
            self.counts(access).made += 1
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.InvalidURL) as broken:
            self.counts(access).made += 1
            reason = access.redact(str(broken)) or type(broken).__name__
            raise FaultError(Fault(message=f"No answer from {self._http.base_url.host}: {reason}")) from None
        finally:
            slot.sent()
        self.budget.note(access.pool, response.headers)
        self._compare_version(response.headers.get("facebook-api-version"))
        try:
            body = decode_body(response.content, status=response.status_code, redact=access.redact)
        except FaultError as failure:
            message = access.redact(failure.fault.message)
            raise FaultError(replace(failure.fault, message=message)) from None
        return _Answer(body=body, dated_at=_dated_at(response.headers.get("date")))

    def _time_by(self, conversations: tuple[Conversation, ...]) -> datetime:
        """When an answer without a `Date` was written: by its newest conversation, not by our clock."""
        times = [each.source_updated_at for each in conversations if each.source_updated_at is not None]
        return min(self._clock.now(), max(times, default=self._clock.now()))

    def _compare_version(self, served: str | None) -> None:
        """A call to an expired version is served, silently, by another (graph-facts 1.1)."""
        if served and served != self._version:
            log.warning("the source answers with another version", asked=self._version, served=served)
            self._version = served  # said once


def _dated_at(header: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except ValueError:
        return None


def _on_wire(slot: Slot) -> Callable[[str, dict[str, Any]], Any]:
    async def trace(event: str, _info: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.complete"):
            slot.sent()

    return trace


def _paging(body: dict[str, Any]) -> tuple[str | None, bool]:
    """The `after` cursor, and whether anything follows.

    Of the `next` URL, which holds the token, only the cursor is kept. Raises SourceRefused
    where something follows and no cursor leads to it: taken for the end, it would be a loss.
    """
    paging = body.get("paging")
    if not isinstance(paging, dict):
        return None, False
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    following = paging.get("next")
    if not following:
        return (after if isinstance(after, str) else None), False
    if not (isinstance(after, str) and after):
        after = _cursor_in(following)
    if not after:
        raise SourceRefused("The list goes on, and no cursor leads to the rest of it.")
    return after, True


def _cursor_in(next_url: object) -> str | None:
    try:
        return httpx2.URL(next_url).params.get("after") if isinstance(next_url, str) else None
    except httpx2.InvalidURL:
        return None


def _error(rule: Rule, fault: Fault, attempts: int) -> Exception:
    said = (
        f"{fault} Tried {attempts} times."
        if rule.treatment is Treatment.AGAIN and attempts > 1
        else str(fault)
    )
    return rule.error(said, hint=rule.hint) if rule.error is not SourceRefused else SourceRefused(said)
