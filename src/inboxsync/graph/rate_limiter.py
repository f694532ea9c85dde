"""Decides when a call may be made, so that no quota of Meta's is exceeded.

There are two kinds of limit: 2 calls a second for each Page or Instagram account, and quotas
for each (object id, type) that only the usage headers report. The headers of every answer are
read, of refused calls too; an absent header means nothing, not zero (graph-facts 2).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import QuotaSpent
from inboxsync.graph.access import Access
from inboxsync.graph.quotas import (
    APP,
    CALL_RATE,
    PAGES,
    Endpoint,
    QuotaState,
    QuotaStates,
    Usage,
    fullest,
    read_usage,
)
from inboxsync.model import Platform, Quota

# 2 % below what is allowed: the network changes the distance between two calls as Meta measures it.
_SAFETY = 1.02
# A call leaves a millisecond or two after it is due. The next one is due earlier by as much, up to this share
# of the spacing: a quarter of what three calls have to spare of a second. Else 2 % below would become 2.5 %.
_CATCH_UP = 0.01
_SLOW_FROM_PERCENT = 75
_STOP_FROM_PERCENT = 95
_SLOWEST_FACTOR = 4.0
_CALL_RATE_WAIT_SECONDS = 1.0
_QUOTA_WAIT_SECONDS = 60.0
_UNEXPLAINED_WAIT_SECONDS = 5.0
# After a refused call, calls are further apart for some time: by what a connection adds now and then.
_JITTER_SECONDS = 0.065
_MOST_EXTRA_SECONDS = 0.5
# As long as any run: what a connection adds now and then, it adds all day.
_EXTRA_FOR = timedelta(days=1)
_LONGEST_GUESS_SECONDS = 3600.0
_SAME = timedelta(minutes=1)
# Which quota a refusal is about; every other code is about the call's own (graph-facts 2).
_QUOTA_OF_CODE = {
    4: APP,
    341: APP,
    613: CALL_RATE,
    80001: PAGES,
    80002: Platform.INSTAGRAM.value,
    80006: Platform.MESSENGER.value,
}

log = structlog.get_logger(__name__)

Keep = Callable[[Quota], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Until when calls must wait, in the clock's zone, and for which quota.

    `type` is as in `Quota`, or `call_rate`.
    """

    until: datetime
    type: str
    used_percent: int | None = None


class _CallSlots:
    """The calls of one object: one request at a time is sent."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.next_call_at = 0.0


class Slot:
    """The permission for one call. Call `sent` when the request leaves: the next one counts from then."""

    def __init__(self, slots: _CallSlots, *, clock: Clock, due_at: float, spacing_seconds: float) -> None:
        self._slots = slots
        self._clock = clock
        self._due_at = due_at
        self._spacing_seconds = spacing_seconds
        self.sent_at: float | None = None

    def sent(self) -> None:
        """The request has been sent: the distance to the next one counts from here."""
        if self.sent_at is None:
            self.sent_at = self._clock.monotonic()
            late = min(self.sent_at - self._due_at, _CATCH_UP * self._spacing_seconds)
            self._slots.next_call_at = self.sent_at + self._spacing_seconds - late
            self._slots.turn.release()


class RateLimiter:
    """Spaces the calls of one process, however many are under way at once.

    `calls_per_second` is for each object; None means no limit of ours. `keep` stores a quota. It
    is awaited whenever a quota becomes blocked, before any call waits for it: if the process is
    killed while it waits, the next one knows until when. `patience_seconds` is the longest wait;
    instead of a longer one QuotaSpent is raised. None waits however long it takes.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        calls_per_second: float | None,
        keep: Keep | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        self._clock = clock
        self._spacing = _SAFETY / calls_per_second if calls_per_second else 0.0
        self._keep = keep
        self._patience_seconds = patience_seconds
        self._quotas = QuotaStates()
        self._slots: dict[str, _CallSlots] = {}

    def restore(self, quotas: Iterable[Quota]) -> None:
        """Continue the waits of an earlier process; those that are over are ignored."""
        for stored in quotas:
            if stored.blocked_until is not None and stored.blocked_until > self._clock.now():
                self._quotas.get(stored.object_id, stored.type).restore(stored)

    async def acquire(self, access: Access, endpoint: Endpoint) -> Slot:
        """Wait until such a call may be made. The caller must call `sent` on the slot."""
        slots = self._slots.setdefault(access.quota, _CallSlots())
        while True:
            await self._wait_for_quota(access, endpoint)
            await slots.turn.acquire()
            due_at = max(slots.next_call_at, self._clock.monotonic())
            try:
                while (wait := slots.next_call_at - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
            except BaseException:
                slots.turn.release()
                raise
            # Meanwhile an answer may have reported a quota that blocks every call.
            if not self._blocked(self._quotas.holding(access, endpoint)):
                spacing = self._spacing_seconds(access, endpoint)
                return Slot(slots, clock=self._clock, due_at=due_at, spacing_seconds=spacing)
            slots.turn.release()

    async def note(self, access: Access, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        """Read the usage headers of an answer."""
        reported = [(usage, self._quotas.get(usage.object_id, usage.type)) for usage in read_usage(headers)]
        own = self._quotas.own(access, endpoint)
        business = [quota for usage, quota in reported if usage.type != APP]
        for quota in _own_among(business, own):
            self._quotas.learn(access, endpoint, quota)
        for usage, quota in reported:
            quota.update(usage)
            if usage.percent >= _STOP_FROM_PERCENT:
                self._block_for_quota(quota, access, endpoint)
        await self._store(self._blocked([own, *(quota for _, quota in reported)]))

    async def refused(
        self, access: Access, endpoint: Endpoint, *, code: int | None, seconds: float | None = None
    ) -> datetime:
        """A call was refused for its rate: block that quota; returns until when.

        `seconds` is how long the source asks to wait, where it does.
        """
        quota = self._quota_of_refusal(access, endpoint, code)
        now = self._clock.now()
        # Else the same answer's headers have blocked it already, or another call that was under way as well.
        is_first = not quota.is_blocked(now)
        if quota.type == CALL_RATE and is_first:
            _space_further(quota, now)
        if seconds is not None:
            quota.refusals += is_first
            self._block(quota, seconds)
        elif quota.type == CALL_RATE and is_first:
            quota.refusals += 1
            self._block(quota, _grown(_CALL_RATE_WAIT_SECONDS, quota.refusals))
        elif is_first:
            self._block_for_quota(quota, access, endpoint)
        await self._store([quota, *self._blocked([self._quotas.own(access, endpoint)])])
        return quota.blocked_until or now

    def accepted(self, access: Access, endpoint: Endpoint) -> None:
        """A call succeeded: the wait after the next refusal is short again."""
        now = self._clock.now()
        for quota in self._quotas.holding(access, endpoint):
            # A call that was sent before the refusal proves nothing about it.
            if (quota.used_percent or 0) < _STOP_FROM_PERCENT and not quota.is_blocked(now):
                quota.refusals = 0

    def usage(self, access: Access) -> Usage | None:
        """The fullest quota of this inbox as the last answers reported it; None before that."""
        quota = fullest(self._quotas.of_inbox(access))
        if quota is None or quota.used_percent is None:
            return None
        return Usage(
            object_id=quota.object_id,
            type=quota.type,
            percent=quota.used_percent,
            regain_seconds=quota.regain_seconds,
        )

    def waiting(self, access: Access) -> Waiting | None:
        """What this inbox's calls wait for, the longest wait of several; None if they need not wait."""
        blocked = self._blocked(self._quotas.of_inbox(access))
        if not blocked or (until := blocked[0].blocked_until) is None:
            return None
        until = until.astimezone(self._clock.zone)
        return Waiting(until=until, type=blocked[0].type, used_percent=blocked[0].used_percent)

    def calls_per_second(self, access: Access) -> float | None:
        """The call rate of this inbox's list calls now; None without a limit of ours."""
        spacing = self._spacing_seconds(access, Endpoint.CONVERSATIONS)
        return 1 / spacing if spacing else None

    def _spacing_seconds(self, access: Access, endpoint: Endpoint) -> float:
        most = fullest(self._quotas.holding(access, endpoint))
        percent = (most.used_percent if most else None) or 0
        over = min(max(percent - _SLOW_FROM_PERCENT, 0) / (_STOP_FROM_PERCENT - _SLOW_FROM_PERCENT), 1.0)
        rate = self._quotas.call_rate(access)
        is_extra = rate.extra_until is not None and self._clock.now() < rate.extra_until
        extra = rate.extra_seconds if self._spacing and is_extra else 0.0
        return (self._spacing + extra) * (1 + over * (_SLOWEST_FACTOR - 1))

    async def _wait_for_quota(self, access: Access, endpoint: Endpoint) -> None:
        while blocked := self._blocked(self._quotas.holding(access, endpoint)):
            await self._store(blocked)
            until = blocked[0].blocked_until or self._clock.now()
            seconds = max(0.0, (until - self._clock.now()).total_seconds())
            if self._patience_seconds is not None and seconds > self._patience_seconds:
                raise QuotaSpent(
                    f"Meta blocks calls until {until.astimezone(self._clock.zone):%Y-%m-%d %H:%M} "
                    f"({blocked[0].type} quota: {blocked[0].used_percent or 100} % used)."
                )
            await self._clock.sleep(seconds)

    def _blocked(self, quotas: Iterable[QuotaState]) -> list[QuotaState]:
        """Those that are blocked, the longest first, and of these the fullest."""
        now = self._clock.now()
        blocked = [quota for quota in quotas if quota.is_blocked(now)]
        return sorted(
            blocked, key=lambda quota: (quota.blocked_until or now, quota.used_percent or 0), reverse=True
        )

    def _quota_of_refusal(self, access: Access, endpoint: Endpoint, code: int | None) -> QuotaState:
        own = self._quotas.own(access, endpoint)
        kind = _QUOTA_OF_CODE.get(code or 0, own.type)
        if kind == APP:
            return self._quotas.app()
        if kind == CALL_RATE:
            return self._quotas.call_rate(access)
        counted = [quota for quota in self._quotas.counted(access, endpoint) if quota.type == kind]
        other = self._quotas.get(access.page_id if kind == PAGES else access.quota, kind)
        quota = fullest(counted) or (own if own.type == kind else other)
        self._quotas.learn(access, endpoint, quota)
        return quota

    def _block_for_quota(self, quota: QuotaState, access: Access, endpoint: Endpoint) -> None:
        """As long as Meta says. If it does not: a minute where the quota is used up, seconds elsewhere.

        A wait that was too short is doubled.
        """
        now = self._clock.now()
        if quota.is_blocked(now):
            # Calls that were under way report the same again, in whole minutes.
            reported_until = now + timedelta(seconds=quota.regain_seconds)
            if quota.blocked_until is None or reported_until <= quota.blocked_until + _SAME:
                return
        else:
            quota.refusals += 1
        is_used_up = (quota.used_percent or 0) >= _STOP_FROM_PERCENT
        guess = _grown(_QUOTA_WAIT_SECONDS if is_used_up else _UNEXPLAINED_WAIT_SECONDS, quota.refusals)
        self._block(quota, quota.regain_seconds or guess)
        own = self._quotas.own(access, endpoint)
        if quota is not own and quota in self._quotas.counted(access, endpoint):
            # It has another id: the next process learns that it counts for this inbox only by a call.
            own.blocked_until = max(filter(None, (own.blocked_until, quota.blocked_until)))

    def _block(self, quota: QuotaState, seconds: float) -> None:
        quota.blocked_until = self._clock.now() + timedelta(seconds=seconds)
        log.warning(
            "Meta blocks calls",
            until=quota.blocked_until.isoformat(timespec="seconds"),
            object_id=quota.object_id,
            type=quota.type,
            used_percent=quota.used_percent,
        )

    async def _store(self, blocked: Iterable[QuotaState]) -> None:
        if self._keep is None:
            return
        for quota in blocked:
            async with quota.keeping:  # no call waits for the quota before its wait is stored
                if quota.kept_until != quota.blocked_until:
                    record = quota.record()
                    await self._keep(record)
                    quota.kept_until = record.blocked_until


def _own_among(reported: list[QuotaState], own: QuotaState) -> list[QuotaState]:
    """Which of the reported quotas a call counts against, whose own quota is known.

    A header may report all types of an object, and other Pages of the same app: if ours is among them, these
    are not ours. An Instagram inbox is reported under two ids (graph-facts 2-12).
    """
    if own in reported and own.type != Platform.INSTAGRAM.value:
        return [own]
    return [quota for quota in reported if quota.type == own.type] or reported


def _space_further(quota: QuotaState, now: datetime) -> None:
    """Calls take longer on their way now and then, so two of them arrive closer than they were sent."""
    is_active = quota.extra_until is not None and now < quota.extra_until
    before = quota.extra_seconds if is_active else 0.0
    quota.extra_seconds = min(max(2 * before, _JITTER_SECONDS), _MOST_EXTRA_SECONDS)
    quota.extra_until = now + _EXTRA_FOR


def _grown(first_seconds: float, refusals: int) -> float:
    return min(first_seconds * 2.0 ** min(refusals - 1, 16), _LONGEST_GUESS_SECONDS)
