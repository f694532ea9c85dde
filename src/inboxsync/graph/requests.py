"""One call of the Graph API with its retries: what is asked for, and what came of it.

The token is in the Authorization header and nowhere else, so no URL that is logged or stored
can hold it.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import SourceRefused
from inboxsync.graph.access import Access, App
from inboxsync.graph.body import Body, decode_body
from inboxsync.graph.decode import Json
from inboxsync.graph.errors import Fault, FaultError, RetryPolicy, Rule, Subject, Treatment, rule_for
from inboxsync.graph.quotas import LISTS, Endpoint
from inboxsync.graph.rate_limiter import RateLimiter, Slot
from inboxsync.model import Platform, Window

if TYPE_CHECKING:
    from inboxsync.graph.transport import Received, Transport

log = structlog.get_logger(__name__)

# Meta removes fields from its reference while they still answer, and one day they no longer do: then a
# single unknown field fails the whole call with code 100 (graph-facts 5). These are never left out.
# Of these, Meta's messages may hold the others as plain words.
_REQUIRED_NAMES = frozenset({"updated_time", "created_time", "messages"})
_REQUIRED = frozenset({"id", "updated_time", "created_time", "messages", "from", "message"})
_CONVERSATION = ("id", "updated_time", "message_count", "unread_count", "snippet", "link", "participants")
# `tags` and `to` are not asked for: they add nothing to `from` and the participants.
_MESSAGE = ("id", "created_time", "from", "message", "attachments", "shares")
_MESSAGE_ON = {
    Platform.MESSENGER: (*_MESSAGE, "sticker", "reply_to"),
    Platform.INSTAGRAM: (*_MESSAGE, "reactions", "story", "reply_to", "is_unsupported"),
}
# Meta returns the inner fields of a share only if they are named (graph-facts 1.6).
_INNER = {"shares": ("link", "name", "description")}
# Only the 20 newest have details; for older ones Meta may answer that they are deleted (graph-facts 1.6).
_READABLE_ON_INSTAGRAM = 20
_WORD = re.compile(r"\w+")
_OPTIONAL = {
    *_CONVERSATION,
    *_MESSAGE,
    "sticker",
    "reply_to",
    "reactions",
    "story",
    "is_unsupported",
} - _REQUIRED
# Code 12 is a field that was removed; other refusals share 100 with it (graph-facts 3).
_UNKNOWN_FIELD = (12, 100)
# A source that asks for more is asked again after this time.
_LONGEST_RETRY_AFTER_SECONDS = 300.0
# The share of a new measurement in the smoothed latency.
_SMOOTHING = 0.3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Params = dict[str, str | int]
T = TypeVar("T")


@dataclass(slots=True)
class CallCounts:
    """Calls made, how many of them were answered, and how many were refused for their rate."""

    made: int = 0
    refused: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A call failed and is made again: the reason, which attempt failed, how long until the next."""

    why: str
    attempt: int
    pause_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask. `params` is called for each attempt: meanwhile Meta may have refused a field.

    `attempts` None: as many as the settings say. `fast` as in `decode_body`.
    """

    access: Access
    endpoint: Endpoint
    path: str
    params: Callable[[], Params]
    about: Subject = Subject.PAGE
    attempts: int | None = None
    fast: Callable[[Body], Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A JSON object, and a time by Meta's clock that is not later than when it was put together."""

    body: Json
    dated_at: datetime | None


class Fields:
    """The fields to ask for, without those that Meta has refused."""

    def __init__(self) -> None:
        self._refused: frozenset[str] = frozenset()

    def times(self) -> str:
        """Only id and updated_time: enough to locate an answer in the list."""
        return "id,updated_time"

    def summary(self, *, message_ids: int) -> str:
        """What it takes to compare the list with the store, with the newest messages' ids if asked for."""
        names = ["id", "updated_time", *(["message_count"] if "message_count" not in self._refused else [])]
        return ",".join([*names, *([f"messages.limit({message_ids}){{id}}"] if message_ids > 0 else [])])

    def conversations(self, platform: Platform, *, messages: int) -> str:
        """Conversations, each with its newest `messages` messages, in one call."""
        names = [self._expand(name) for name in _CONVERSATION if name not in self._refused]
        if platform is Platform.INSTAGRAM:
            messages = min(messages, _READABLE_ON_INSTAGRAM)
        return ",".join([*names, f"messages.limit({messages}){{{self.messages(platform)}}}"])

    def messages(self, platform: Platform, *, ids_only: bool = False) -> str:
        """Whole messages, or only their ids and times."""
        if ids_only:
            return "id,created_time"
        return ",".join(self._expand(name) for name in _MESSAGE_ON[platform] if name not in self._refused)

    @contextmanager
    def without(self, names: Collection[str]) -> Iterator[None]:
        """Inside, these are left out too. Do not await inside: other calls would miss them as well."""
        before = self._refused
        self._refused = before.union(names)
        try:
            yield
        finally:
            self._refused = before

    def refuse(self, names: Collection[str]) -> None:
        """Leave these out from now on."""
        self._refused = self._refused.union(names)

    def _expand(self, name: str) -> str:
        inner = [field for field in _INNER.get(name, ()) if field not in self._refused]
        return f"{name}{{{','.join(inner)}}}" if inner else name


def list_params(*, fields: str, limit: int, after: str | None) -> Params:
    """What every list is asked with."""
    params: Params = {"fields": fields, "limit": limit}
    return params | {"after": after} if after is not None else params


def window_params(window: Window | None) -> Params:
    """The bounds on `updated_time` that Meta's SDK declares and its guide denies (graph-facts 1.3)."""
    if window is None:
        return {}
    bounds = {"updated_before_ms": window.before, "updated_after_ms": window.after}
    return {name: (at - _EPOCH) // _MILLISECOND for name, at in bounds.items() if at is not None}


class Calls:
    """Makes calls, and repeats them as the table of errors says."""

    def __init__(
        self,
        *,
        http: "Transport",
        rate_limiter: RateLimiter,
        policy: RetryPolicy,
        clock: Clock,
        version: str,
        fields: Fields,
        app: App | None = None,
    ) -> None:
        self._app = app
        self._http = http
        self._rate_limiter = rate_limiter
        self._policy = policy
        self._clock = clock
        self._version = version
        self._fields = fields
        self._counts: dict[str, CallCounts] = {}
        self._latencies: dict[str, dict[Endpoint, float]] = {}
        self._watchers: dict[str, Callable[[Retrying], None]] = {}

    def counts(self, access: Access) -> CallCounts:
        """The calls made for this inbox so far."""
        return self._counts.setdefault(access.quota, CallCounts())

    def latency_seconds(self, access: Access) -> float | None:
        """How long a list answer takes, of the slowest kind in use; None before the first."""
        return max(self._latencies.get(access.quota, {}).values(), default=None)

    @contextmanager
    def watched(self, access: Access, on_retry: Callable[[Retrying], None]) -> Iterator[None]:
        """Inside, `on_retry` is called for every call about this inbox that is made again."""
        self._watchers[access.quota] = on_retry
        try:
            yield
        finally:
            self._watchers.pop(access.quota, None)

    async def get(self, call: Call, read: Callable[[Answer], T]) -> T:
        """What `read` returns for the answer, after as many attempts as the failures allow.

        `read` raises FaultError for an answer that does not fit this call. Raises SourceError.
        """
        failed, most = 0, call.attempts or self._policy.attempts
        refusal = _FieldRefusal()
        while True:
            with self._fields.without(refusal.left_out):
                params = call.params()
            try:
                result = read(await self._once(call, params))
            except FaultError as failure:
                fault = _without_its_answer(failure)
                rule = rule_for(fault, about=call.about)
                if await self._waits(call, fault, rule) or refusal.leaves_out(fault, rule, params):
                    continue
                failed += 1
                if rule.treatment is not Treatment.RETRY or failed >= most:
                    raise rule.as_error(refusal.first or fault, attempts=failed) from None
                await self._pause(call, fault, failed)
            else:
                if refusal.left_out:
                    self._fields.refuse(refusal.left_out)
                    log.warning(
                        "Meta no longer serves a field; continuing without it",
                        fields=sorted(refusal.left_out),
                    )
                self.counts(call.access).answered += 1
                self._rate_limiter.accepted(call.access, call.endpoint)
                return result

    async def _waits(self, call: Call, fault: Fault, rule: Rule) -> bool:
        """Whether the call was refused for its rate; the rate limiter then makes the next one wait."""
        if rule.treatment is not Treatment.WAIT:
            return False
        self.counts(call.access).refused += 1
        self.counts(call.access).answered += 1
        await self._rate_limiter.refused(
            call.access, call.endpoint, code=fault.code, seconds=fault.retry_after_seconds
        )
        return True

    async def _pause(self, call: Call, fault: Fault, failed: int) -> None:
        pause = self._policy.pause_seconds(failed)
        if fault.retry_after_seconds is not None:
            pause = max(pause, fault.retry_after_seconds)
        retrying = Retrying(why=str(fault), attempt=failed, pause_seconds=round(pause, 3))
        log.warning("call failed, trying again", **asdict(retrying))
        if (on_retry := self._watchers.get(call.access.quota)) is not None:
            on_retry(retrying)
        await self._clock.sleep(pause)

    async def _once(self, call: Call, params: Params) -> Answer:
        """One call, once. Raises FaultError."""
        access = call.access
        slot = await self._rate_limiter.acquire(access, call.endpoint)
        try:
            received = await self._send(call, params, slot)
        finally:
            slot.sent()
        took_seconds = self._clock.monotonic() - (slot.sent_at or 0.0)
        await self._rate_limiter.note(access, call.endpoint, received.headers)
        self._compare_version(received.headers.get("facebook-api-version"))
        with _redacting(access), self._asked_to_wait(received.headers.get("retry-after")):
            body = decode_body(received.body, status=received.status, redact=access.redact, fast=call.fast)
        self._measure(call, took_seconds)
        return Answer(body=body, dated_at=_dated_at(received.headers.get("date"), took_seconds=took_seconds))

    async def _send(self, call: Call, params: Params, slot: Slot) -> "Received":
        access = call.access
        self.counts(access).made += 1
        # Meta's messages are read, and compared with a table, in one language.
        params = {**params, "locale": "en_US"}
        if self._app is not None:
            params = {**params, "appsecret_proof": self._app.proof(access.token)}
        with _redacting(access):
            return await self._http.get(
                call.path, params=params, token=access.token, sent=slot.sent, source=access.source
            )

    @contextmanager
    def _asked_to_wait(self, retry_after: str | None) -> Iterator[None]:
        """Adds how long the source asks to wait to a failure inside."""
        try:
            yield
        except FaultError as failure:
            seconds = _seconds_in(retry_after, self._clock.now())
            raise FaultError(replace(failure.fault, retry_after_seconds=seconds)) from None

    def _measure(self, call: Call, seconds: float) -> None:
        if call.endpoint in LISTS:
            known = self._latencies.setdefault(call.access.quota, {})
            before = known.get(call.endpoint, seconds)
            known[call.endpoint] = before + _SMOOTHING * (seconds - before)

    def _compare_version(self, answered: str | None) -> None:
        """Meta answers a call to an expired version with another one, without an error (graph-facts 1.1)."""
        if answered and answered != self._version:
            log.warning("Meta answers with another version", asked=self._version, served=answered)
            self._version = answered  # logged once


def _dated_at(header: str | None, *, took_seconds: float) -> datetime | None:
    """The `Date` header less the time the answer took, so never later than when Meta looked."""
    try:
        if not header:
            return None
        return parsedate_to_datetime(header).astimezone(UTC) - timedelta(seconds=took_seconds)
    except (ValueError, OverflowError):
        return None


@dataclass(slots=True)
class _FieldRefusal:
    """What one call leaves out, since it was refused with it; `first` is the refusal that began it.

    Meta names a field in its own words, in any language, or not at all. So those that it names are left out;
    if it names none, all that are not required. Each step leaves out more, so there are few.
    """

    left_out: frozenset[str] = frozenset()
    first: Fault | None = None

    def leaves_out(self, fault: Fault, rule: Rule, params: Params) -> bool:
        """Whether there is less to ask for, and this refusal may be about it."""
        if fault.code not in _UNKNOWN_FIELD or rule.error is not SourceRefused:
            return False
        asked = set(_WORD.findall(str(params.get("fields", ""))))
        named = asked.intersection(_WORD.findall(fault.message))
        less = named & _OPTIONAL or (set() if named & _REQUIRED_NAMES else asked & _OPTIONAL)
        if not less:
            return False
        self.first = self.first or fault
        self.left_out |= less
        return True


def _seconds_in(retry_after: str | None, now: datetime) -> float | None:
    """`Retry-After`, in seconds or as a date (RFC 9110), at most _LONGEST_RETRY_AFTER_SECONDS."""
    if not retry_after:
        return None
    try:
        text = retry_after.strip()
        seconds = float(text) if text.isdecimal() else (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def _without_its_answer(failure: FaultError) -> Fault:
    """Its fault. An exception keeps the frames that it has passed, and these keep the answer."""
    failure.__traceback__ = failure.__context__ = None
    return failure.fault


@contextmanager
def _redacting(access: Access) -> Iterator[None]:
    """Removes the token from the message of a failure inside."""
    try:
        yield
    except FaultError as failure:
        message = access.redact(failure.fault.message)
        raise FaultError(replace(failure.fault, message=message)) from None
