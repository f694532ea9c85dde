"""What one worker does for all of them: feed the queue, start what is due, find the dead, free what is stuck.

The worker that is there longest does it. Should two think so for a moment, nothing is done twice: every step
is a conditional statement, and a slice has one name.
"""

from datetime import datetime, timedelta

import structlog

from inboxsync.engine import Engine
from inboxsync.model import RunTask, TaskQueue, WorkerInfo
from inboxsync.store.connection.types import to_milliseconds
from inboxsync.store.state.runs import delete_runs
from inboxsync.store.state.schedules import delete_idle_runs
from inboxsync.store.state.tasks import count_unbegun, list_dispatched, list_due, mark_dispatched, next_task
from inboxsync.store.state.workers import delete_worker, list_workers
from inboxsync.workers.dispatch import Dispatcher
from inboxsync.workers.queues import slots
from inboxsync.workers.registry import WorkerRegistry
from inboxsync.workers.schedules import start_due

log = structlog.get_logger(__name__)

# So many slices a slot are in the queue at once: DBOS takes them in any order, and gets them in theirs.
_TASKS_A_SLOT = 3
_LONGEST_OVERTAKEN = timedelta(seconds=30)
_STUCK_AFTER = timedelta(seconds=15)
# Thousands of Pages that are looked at every few minutes would leave millions of rows a day.
_KEEP_IDLE = timedelta(hours=6)
_KEEP_RUNS = timedelta(days=90)
_KEEP_WORKFLOWS = timedelta(hours=1)


class Maintenance:
    """The common duties, done by whoever is first among the living. Every method blocks."""

    def __init__(self, engine: Engine, dispatcher: Dispatcher, *, worker_id: str) -> None:
        self._engine = engine
        self._store = engine.store
        self._dispatcher = dispatcher
        self._worker_id = worker_id
        self._registry = WorkerRegistry(worker_id)
        self._living: list[WorkerInfo] = []
        self._is_first_time = True
        self._dispatched_at: dict[TaskQueue, datetime] = {}

    def find_dead(self) -> bool:
        """Look who lives, and give back what the dead had; whether the common duties are this worker's."""
        with self._store.read() as connection:
            self._living, dead = self._registry.look(list_workers(connection))
        if not self._living or self._living[0].id != self._worker_id:
            self._is_first_time = True
            return False
        for each in dead:
            log.warning("a worker is dead: others go on with its Pages", worker=each.id)
            with self._store.write() as connection:
                delete_worker(connection, each.id)
        if dead or self._is_first_time:
            self.take_over()
        self._is_first_time = False
        return True

    def take_over(self) -> None:
        """Put what nobody alive executes back into the queue.

        Also what a worker has left that said good-bye before its slices had ended, because the database
        did not take their last words in time: nobody will find that one dead.
        """
        taken = self._dispatcher.take_over(self._list_ids)
        if taken:
            log.info("slices of dead workers are taken over", tasks=taken)

    def _list_ids(self) -> set[str]:
        with self._store.read() as connection:
            return {self._worker_id, *(each.id for each in list_workers(connection))}

    def dispatch_due(self) -> int:
        """Put slices that are due into the queue, those that wait longest first; returns how many."""
        now = self._engine.clock.now()
        with self._store.read() as connection:
            unbegun = count_unbegun(connection)
            due: list[RunTask] = []
            for queue in TaskQueue:
                room = self._room(queue, *unbegun.get(queue, (0, now)), now=now)
                due += list_due(connection, queue, now=now, limit=room) if room > 0 else []
        if due:
            self._dispatcher.enqueue(due)
            with self._store.write() as connection:
                mark_dispatched(connection, due, now=now)
            self._dispatched_at |= dict.fromkeys((each.queue for each in due), to_milliseconds(now))
        return len(due)

    def free_stuck(self) -> None:
        """Hand over anew what nobody executes, and what was executed to its end and is still there.

        The latter where the database was away just then.
        """
        self.take_over()
        now = self._engine.clock.now()
        with self._store.read() as connection:
            handed = list_dispatched(connection, before=now - _STUCK_AFTER)
        versions = {each.version for each in self._living}
        for each in self._dispatcher.find_over(handed, versions=versions):
            with self._store.write() as connection:
                if next_task(connection, each, queue=each.queue, due_at=now, failures=each.failures + 1):
                    log.warning("a slice was left half-way: it is handed over anew", run_id=each.run_id)

    def start_due(self) -> int:
        """Hand over runs of Pages that are due; returns how many."""
        return start_due(self._engine)

    def purge(self) -> None:
        """Forget what nobody will ask for: old runs, and workflows that have ended."""
        now = self._engine.clock.now()
        with self._store.write() as connection:
            delete_idle_runs(connection, before=now - _KEEP_IDLE)
            delete_runs(connection, before=now - _KEEP_RUNS)
        purged = self._dispatcher.purge(before=now - _KEEP_WORKFLOWS)
        log.info("finished workflows are forgotten", workflows=purged)

    def _room(self, queue: TaskQueue, unbegun: int, since: datetime, *, now: datetime) -> int:
        """How many more to put into the queue: none while one of the last time but one waits there.

        Else the one that DBOS, which takes them at random, takes last could be overtaken for ever.
        """
        is_overtaken = since < self._dispatched_at.get(queue, since) and now - since < _LONGEST_OVERTAKEN
        places = sum(slots(queue, each.concurrency) for each in self._living)
        return 0 if is_overtaken else places * _TASKS_A_SLOT - unbegun
