"""The figures of `/metrics`.

The middleware counts requests. What syncs do is read from the database for each scrape, because the worker
may be another process: the counters grow by what runs have counted since the scrape before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from inboxsync.clock import Clock
from inboxsync.model import BacklogKind, Completeness, Page, Quota, TokenState
from inboxsync.store import Store
from inboxsync.store.state.pages import list_pages, list_quotas
from inboxsync.store.state.run_totals import (
    RunTotals,
    count_backlog_by_kind,
    list_open_run_totals,
    list_run_totals,
    newest_run_id,
)
from inboxsync.sync import completeness_of

ENDED: Final = ("complete", "partial", "failed", "cancelled", "interrupted")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class _Seen:
    pages: list[Page]
    quotas: list[Quota]
    runs: list[RunTotals]
    backlog: dict[str, int]
    completeness: dict[str, Completeness]


class Metrics:
    """All figures of one service. Call `text` from a thread."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = Lock()
        self._open: dict[str, RunTotals] = {}
        self._newest = ""
        self.registry = CollectorRegistry()
        self._define_requests(self.registry)
        self._define_runs(self.registry)
        self._define_pages(self.registry)

    def _define_requests(self, names: CollectorRegistry) -> None:
        labels = ["route", "method", "status"]
        self.requests = Counter("inboxsync_http_requests", "Requests answered.", labels, registry=names)
        self.request_seconds = Histogram(
            "inboxsync_http_request_seconds",
            "How long an answer took.",
            ["route"],
            buckets=_SECONDS,
            registry=names,
        )
        self.clients = Gauge("inboxsync_event_listeners", "Clients that follow a run.", registry=names)

    def _define_runs(self, names: CollectorRegistry) -> None:
        self._calls = Counter("inboxsync_source_calls", "Calls to Meta.", ["result"], registry=names)
        self._rows = Counter("inboxsync_rows_written", "Rows stored.", ["kind"], registry=names)
        self._batch_seconds = Histogram(
            "inboxsync_batch_seconds",
            "Working time for a batch, from the call until it is stored.",
            buckets=_SECONDS,
            registry=names,
        )
        self._ended = Counter("inboxsync_runs", "Runs that ended.", ["outcome"], registry=names)
        self._active = Gauge("inboxsync_runs_open", "Runs that have not ended.", registry=names)

    def _define_pages(self, names: CollectorRegistry) -> None:
        quota = ["object_id", "type"]
        self._quota = Gauge(
            "inboxsync_quota_used_percent",
            "How much of a quota of Meta is used.",
            quota,
            registry=names,
        )
        self._blocked = Gauge(
            "inboxsync_quota_blocked_seconds",
            "For how long Meta accepts no call.",
            quota,
            registry=names,
        )
        self._lag = Gauge(
            "inboxsync_page_lag_seconds",
            "How far a Page's watermark is behind the present; absent until its first complete sync.",
            ["page_id", "platform"],
            registry=names,
        )
        self._pages = Gauge("inboxsync_pages", "Pages, by their token's state.", ["token"], registry=names)
        self._complete = Gauge(
            "inboxsync_page_completeness",
            "1 for the state of each Page: unverified, complete, new (since the last sync) or incomplete.",
            ["page_id", "platform", "state"],
            registry=names,
        )
        self._backlog = Gauge(
            "inboxsync_backlog_items",
            "What is known to be missing; new: it has come since the last sync.",
            ["kind"],
            registry=names,
        )

    def begin(self) -> None:
        """Count from now on: ended runs are not counted again, open ones are. Raises StoreError."""
        with self._store.read() as connection:
            self._open = {run.id: run for run in list_open_run_totals(connection, ended=ENDED)}
            self._newest = newest_run_id(connection)

    def text(self) -> bytes:
        """In Prometheus's text format. Raises StoreError."""
        with self._lock:  # two scrapes at once must not count a run twice
            seen = self._read()
            now = self._clock.now()
            self._add_runs(seen.runs)
            self._show_pages(seen.pages, now)
            self._show_completeness(seen.pages, seen.completeness)
            self._show_quotas(seen.quotas, now)
            self._show_backlog(seen.backlog)
            return generate_latest(self.registry)

    def _read(self) -> _Seen:
        with self._store.read() as connection:
            pages = list_pages(connection)
            return _Seen(
                pages=pages,
                completeness=completeness_of(connection, pages),
                quotas=list_quotas(connection),
                runs=list_run_totals(connection, after=self._newest, also=[*self._open]),
                backlog=count_backlog_by_kind(connection),
            )

    def _add_runs(self, runs: Iterable[RunTotals]) -> None:
        for run in runs:
            before = self._open.pop(run.id, None)
            refused = run.refused_calls - (before.refused_calls if before else 0)
            calls = run.calls - (before.calls if before else 0)
            self._calls.labels("refused").inc(max(0, refused))
            self._calls.labels("answered").inc(max(0, calls - refused))
            for kind, name in (
                ("conversation_inserted", "inserted"),
                ("conversation_updated", "updated"),
                ("message_inserted", "events"),
            ):
                grown = getattr(run, name) - (getattr(before, name) if before else 0)
                self._rows.labels(kind).inc(max(0, grown))
            self._add_batches(run, before)
            if run.status in ENDED:
                self._ended.labels(run.status).inc()
            else:
                self._open[run.id] = run
            self._newest = max(self._newest, run.id)
        self._active.set(len(self._open))

    def _add_batches(self, run: RunTotals, before: RunTotals | None) -> None:
        batches = run.batches - (before.batches if before else 0)
        seconds = (run.active_seconds or 0.0) - ((before.active_seconds or 0.0) if before else 0.0)
        for _ in range(batches):
            # Only the mean of the batches since the last scrape is known.
            self._batch_seconds.observe(max(0.0, seconds) / batches)

    def _show_pages(self, pages: Iterable[Page], now: datetime) -> None:
        self._lag.clear()
        for state in TokenState:
            self._pages.labels(state.value).set(0)
        for page in pages:
            self._pages.labels(page.token_state.value).inc()
            if page.last_synced_at is not None:
                lag = self._lag.labels(page.facebook_page_id, page.platform.value)
                lag.set((now - page.last_synced_at).total_seconds())

    def _show_completeness(self, pages: Iterable[Page], completeness: Mapping[str, Completeness]) -> None:
        self._complete.clear()
        for page in pages:
            state = completeness[page.id].state.value
            self._complete.labels(page.facebook_page_id, page.platform.value, state).set(1)

    def _show_backlog(self, backlog: Mapping[str, int]) -> None:
        for kind in (*BacklogKind, "new"):
            self._backlog.labels(str(kind)).set(backlog.get(str(kind), 0))

    def _show_quotas(self, quotas: Iterable[Quota], now: datetime) -> None:
        for quota in quotas:
            labels = (quota.object_id, quota.type)
            self._quota.labels(*labels).set(quota.used_percent or 0)
            until = quota.blocked_until
            self._blocked.labels(*labels).set(max(0.0, (until - now).total_seconds()) if until else 0.0)
