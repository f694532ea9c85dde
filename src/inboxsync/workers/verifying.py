"""A verification as a run, with the events and the end of a sync. After an interruption it begins again."""

import asyncio
import time
from dataclasses import replace

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, LeaseLost, PageBusy, PageUnknown, StoreError
from inboxsync.graph import GraphClient
from inboxsync.model import (
    Completeness,
    CompletenessState,
    Counts,
    Mode,
    Page,
    Problem,
    Run,
    RunStatus,
    Verification,
)
from inboxsync.store.state.runs import append_run_events, resume_run, update_run
from inboxsync.sync import (
    NOT_COMPLETE,
    NOT_SYNCED_YET,
    BatchStored,
    Compared,
    EventLog,
    Findings,
    Outcome,
    Progress,
    Speed,
    Stage,
    Stop,
    Stopped,
    Suspension,
    Unfinished,
    check_requests,
    completeness_of,
    describe_completeness,
    end_event,
    is_temporary,
    start_events,
)

_LOOK_SECONDS = 1.5
_SHOWN_REASONS = 3


class RunVerify:
    """Verifies one Page for a worker, as `owner` of its lease."""

    def __init__(
        self, engine: Engine, source: GraphClient, run: Run, page: Page, *, owner: str, stop: Stop
    ) -> None:
        self._engine = engine
        self._store = engine.store
        self._source = source
        self._run = run
        self._page = page
        self._owner = owner
        self._stop = stop
        self._began = time.monotonic()
        self._speed = Speed(engine.clock)
        self._event_log: EventLog

    async def run(self) -> Outcome:
        """Verify; what fails is in the outcome. Raises PageBusy, LeaseLost, PageUnknown, StoreError."""
        self._run = await asyncio.to_thread(self._begin)
        self._event_log = EventLog(self._store, self._engine.clock, self._run, owner=self._owner)
        watching = asyncio.create_task(self._watch())
        try:
            result = await self._verify()
        finally:
            watching.cancel()
            await self._event_log.close()
        run = replace(self._run, duration_seconds=time.monotonic() - self._began)
        if isinstance(result, Stopped) and self._stop.is_pause and not self._stop.is_cancelled:
            return self._suspended(Suspension(reason=result.reason))
        if isinstance(result, InboxsyncError) and is_temporary(result):
            return self._suspended(Suspension(reason=result.message, has_failed=True))
        return await asyncio.to_thread(self._end, run, result)

    async def _verify(self) -> tuple[Verification, Findings] | Stopped | InboxsyncError:
        verification = self._engine.page_verify(
            self._source,
            self._page,
            stop=self._stop,
            is_deep=False,
            on_batch=self._on_batch,
            listener=self._event_log.on_event,
            owner=self._owner,
        )
        try:
            return await verification.run(wait=False)
        except (PageBusy, LeaseLost, PageUnknown, StoreError):
            raise
        except (Stopped, InboxsyncError) as failure:
            return failure

    def _begin(self) -> Run:
        now = self._engine.clock.now()
        with self._store.write() as connection:
            run = resume_run(connection, self._run.id, mode=Mode.FULL, now=now)
            if run is None:
                raise LeaseLost("The run has been ended elsewhere.")
            events = start_events(run, is_new=self._run.status is RunStatus.QUEUED)
            append_run_events(connection, run.id, [(now, *each) for each in events])
        return run

    def _on_batch(self, compared: Compared) -> None:
        counts = Counts(fetched=compared.listed, unchanged=max(0, compared.listed - compared.differences))
        self._run = replace(
            self._run,
            counts=counts,
            calls=compared.calls,
            batches=self._run.batches + 1,
            duration_seconds=time.monotonic() - self._began,
        )
        share = compared.share
        self._event_log.on_event(
            BatchStored(
                run=self._run,
                batch=Counts(),
                seconds=0.0,
                stage=Stage.COMPARE,
                folder=compared.folder,
                position=compared.reached_at,
                quota_used_percent=compared.quota_used_percent,
                progress=Progress(
                    share=share, expected=compared.expected, seconds_left=self._speed.seconds_left(share)
                ),
                differences=compared.differences,
            )
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await check_requests(self._store, self._run, stop=self._stop, owner=self._owner)

    def _suspended(self, suspension: Suspension) -> Outcome:
        return Outcome(
            page=self._page,
            run=self._run,
            unfinished=Unfinished(),
            reason=suspension.reason,
            suspension=suspension,
        )

    def _end(self, run: Run, result: tuple[Verification, Findings] | Stopped | InboxsyncError) -> Outcome:
        now = self._engine.clock.now()
        with self._store.write() as connection:
            complete = completeness_of(connection, [self._page])[self._page.id]
            status, problems, reason = _concluded(result, complete)
            if self._stop.is_cancelled:
                status, reason = RunStatus.CANCELLED, self._stop.reason
            is_whole = status is RunStatus.COMPLETE
            ended = replace(
                run,
                status=status,
                finished_at=now,
                updated_at=now,
                problems=problems,
                next=None if is_whole else f"inboxsync sync {run.facebook_page_id}",
            )
            update_run(connection, ended)
            append_run_events(connection, run.id, [(now, *end_event(ended, reason=reason))])
        return Outcome(page=self._page, run=ended, unfinished=Unfinished(), reason=reason)


def _concluded(
    result: tuple[Verification, Findings] | Stopped | InboxsyncError, complete: Completeness
) -> tuple[RunStatus, tuple[Problem, ...], str | None]:
    if isinstance(result, Stopped):
        return RunStatus.PARTIAL, (), result.reason
    if isinstance(result, InboxsyncError):
        problem = Problem(code=result.code, message=result.message, hint=result.hint)
        return RunStatus.FAILED, (problem,), None
    verification, findings = result
    if verification.is_complete:
        return RunStatus.COMPLETE, (), None
    code = NOT_SYNCED_YET if complete.state is CompletenessState.NEW else NOT_COMPLETE
    why = [f"{graph_id}: {each.message}" for graph_id, each in findings.refused.items()][:_SHOWN_REASONS]
    message = " ".join([*describe_completeness(complete), *why])
    return RunStatus.PARTIAL, (Problem(code=code, message=message, hint=""),), None
