"""One call of the Graph API with its retries, from parameters to what was read of the answer.

The token travels in the Authorization header and nowhere else, so no URL that anybody
logs or keeps can hold it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from inboxsync.clock import Clock
from inboxsync.graph.access import Access
from inboxsync.graph.app import App
from inboxsync.graph.body import FaultError, decode_body
from inboxsync.graph.errors import Fault
from inboxsync.graph.fields import Fields
from inboxsync.graph.policy import RetryPolicy
from inboxsync.graph.quotas import LISTS, Endpoint
from inboxsync.graph.rate_limiter import RateLimiter, Slot
from inboxsync.graph.retry import Rule, Subject, Treatment, rule_for

if TYPE_CHECKING:
    from inboxsync.graph.transport import Received, Transport

log = structlog.get_logger(__name__)

_UNKNOWN_FIELD = 100
# How much of a new measurement goes into the smoothed latency.
_SMOOTHING = 0.3

Params = dict[str, str | int]
T = TypeVar("T")


@dataclass(slots=True)
class CallCounts:
    """Calls made, and how many of them were refused for their rate."""

    made: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A call failed and is made again: the reason, which attempt failed, how long until the next."""

    why: str
    attempt: int
    pause_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask. `params` is asked anew for each attempt: a field may have been refused meanwhile.

    `attempts` None: as many as the settings say. `read_usual` as in `decode_body`.
    """

    access: Access
    endpoint: Endpoint
    path: str
    params: Callable[[], Params]
    about: Subject = Subject.PAGE
    attempts: int | None = None
    decode_fast: Callable[[bytes], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A JSON object, and a time by the source's own clock at which it had not looked yet."""

    body: dict[str, Any]
    dated_at: datetime | None


class Calls:
    """Makes calls, and makes them again as the table of failures says."""

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
        """How long a list answer takes, of the slowest kind in use; None before one has come."""
        return max(self._latencies.get(access.quota, {}).values(), default=None)

    @contextmanager
    def watched(self, access: Access, tell: Callable[[Retrying], None]) -> Iterator[None]:
        """Within, `tell` hears of every call about this inbox that is made again."""
        self._watchers[access.quota] = tell
        try:
            yield
        finally:
            self._watchers.pop(access.quota, None)

    async def get(self, call: Call, read: Callable[[Answer], T]) -> T:
        """What `read` makes of the answer, after as many attempts as the failures allow.

        `read` raises FaultError for an answer that is no answer to this call. Raises SourceError.
        """
        failed, most = 0, call.attempts or self._policy.attempts
        while True:
            params = call.params()
            try:
                result = read(await self._once(call, params))
            except FaultError as failure:
                fault = failure.fault
                rule = rule_for(fault, about=call.about)
                if self._asks_for_less(fault, params) or await self._waits(call, fault, rule):
                    continue
                failed += 1
                if rule.treatment is not Treatment.AGAIN or failed >= most:
                    raise rule.as_error(fault, attempts=failed) from None
                await self._pause(call, fault, failed)
            else:
                self._rate_limiter.accepted(call.access, call.endpoint)
                return result

    def _asks_for_less(self, fault: Fault, params: Params) -> bool:
        """Whether the call failed for a field that we can do without, and now will."""
        if fault.code != _UNKNOWN_FIELD:
            return False
        field = self._fields.drop_refused(fault.message, asked=str(params.get("fields", "")))
        if field is not None:
            log.warning("the source no longer serves a field; going on without it", field=field)
        return field is not None

    async def _waits(self, call: Call, fault: Fault, rule: Rule) -> bool:
        """Whether the call was refused for its rate; the budget then holds the next one back."""
        if rule.treatment is not Treatment.LATER:
            return False
        self.counts(call.access).refused += 1
        await self._rate_limiter.refused(call.access, call.endpoint, code=fault.code)
        return True

    async def _pause(self, call: Call, fault: Fault, failed: int) -> None:
        pause = self._policy.pause_seconds(failed)
        told = Retrying(why=str(fault), attempt=failed, pause_seconds=round(pause, 3))
        log.warning("call failed, trying again", **asdict(told))
        if (tell := self._watchers.get(call.access.quota)) is not None:
            tell(told)
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
        with _redacting(access):
            body = decode_body(
                received.body,
                status=received.status,
                redact=access.redact,
                decode_fast=call.decode_fast,
            )
        self._measure(call, took_seconds)
        return Answer(body=body, dated_at=_dated_at(received.headers.get("date"), took_seconds=took_seconds))

    async def _send(self, call: Call, params: Params, slot: Slot) -> "Received":
        access = call.access
        self.counts(access).made += 1
        if self._app is not None:
            params = {**params, "appsecret_proof": self._app.proof(access.token)}
        with _redacting(access):
            return await self._http.get(call.path, params=params, token=access.token, sent=slot.sent)

    def _measure(self, call: Call, seconds: float) -> None:
        if call.endpoint in LISTS:
            known = self._latencies.setdefault(call.access.quota, {})
            before = known.get(call.endpoint, seconds)
            known[call.endpoint] = before + _SMOOTHING * (seconds - before)

    def _compare_version(self, served: str | None) -> None:
        """A call to an expired version is served, silently, by another (graph-facts 1.1)."""
        if served and served != self._version:
            log.warning("the source answers with another version", asked=self._version, served=served)
            self._version = served  # said once


def _dated_at(header: str | None, *, took_seconds: float) -> datetime | None:
    """No later than the source looked: an answer that took long was dated when it was sent."""
    try:
        if not header:
            return None
        return parsedate_to_datetime(header).astimezone(UTC) - timedelta(seconds=took_seconds)
    except (ValueError, OverflowError):
        return None


@contextmanager
def _redacting(access: Access) -> Iterator[None]:
    """What is said of a failure within holds no token."""
    try:
        yield
    except FaultError as failure:
        message = access.redact(failure.fault.message)
        raise FaultError(replace(failure.fault, message=message)) from None
