"""Workers that are killed, frozen and restarted in mid-sync, on a real PostgreSQL and on a shared file."""

import json
import os
import signal

import pytest

from inboxsync.model import RunRequest, RunStatus
from inboxsync.workers import RunQueue
from tests.fixtures import RestartedServer
from tests.workers.fixtures import MakeFleet

pytestmark = pytest.mark.system

postgresql_only = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_a_killed_workers_pages_are_finished_by_the_other(fleet: MakeFleet) -> None:
    two, runs = fleet(pages=4)
    first, second = two.start(is_child=True), two.start(is_child=True)
    two.wait_until_under_way(runs)
    # The one with more tasks: it is in the middle of something.
    busy = max(two.at_work().items(), key=lambda each: each[1])[0]
    victim = first if first.pid == busy else second
    victim.send_signal(signal.SIGKILL)  # and not waited for: it is a zombie
    two.wait_until_complete(runs)
    two.assert_whole(4)
    assert len(two.living()) == 1


def test_when_all_are_killed_one_that_starts_continues(fleet: MakeFleet) -> None:
    two, runs = fleet()
    two.start()
    two.start()
    two.wait_until_under_way(runs)
    two.kill_all()
    assert all(two.run(run).status is RunStatus.RUNNING for run in runs)
    started = [two.run(run).started_at for run in runs]
    two.start()
    two.wait_until_complete(runs)
    assert [two.run(run).started_at for run in runs] == started
    two.assert_whole(2)


@postgresql_only
def test_a_worker_that_was_frozen_overlaps_with_none_when_it_wakes(fleet: MakeFleet) -> None:
    two, runs = fleet()
    frozen = two.start()
    two.wait_until_under_way(runs)
    assert two.at_work() == {frozen.pid: 2}
    frozen.send_signal(signal.SIGSTOP)
    two.start()
    two.wait_until_complete(runs)
    two.assert_whole(2)  # and its leases are broken
    events = two.query("SELECT run_id, seq, status FROM sync_run_events ORDER BY 1, 2")
    frozen.send_signal(signal.SIGCONT)
    # It has tried to write what it must not write.
    two.wait_for_log("another worker has taken over", times=2)
    two.wait(lambda: two.is_living(frozen))
    assert two.query("SELECT run_id, seq, status FROM sync_run_events ORDER BY 1, 2") == events
    assert {two.run(run).status for run in runs} == {RunStatus.COMPLETE}
    two.assert_whole(2)
    again = [RunQueue(two.engine).enqueue(page, RunRequest()) for page in two.pages()]
    two.wait_until_complete(again)  # and it works on, beside the other


def test_a_worker_that_is_asked_to_stop_suspends_its_runs_and_another_continues(fleet: MakeFleet) -> None:
    one, runs = fleet()
    first = one.start()
    one.wait_until_under_way(runs)
    first.send_signal(signal.SIGTERM)
    assert one.end(first) == 0
    assert one.living() == []
    assert one.query("SELECT COUNT(*) FROM page_leases") == [(0,)]
    assert one.query("SELECT COUNT(*) FROM run_tasks WHERE worker_id IS NOT NULL") == [(0,)]
    half = [one.run(run) for run in runs]
    assert all(run.status is RunStatus.RUNNING and run.problems == () for run in half)
    one.start()
    one.wait_until_complete(runs)
    one.assert_whole(2)


@sqlite_only
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_worker_at_once_though_the_database_is_locked(
    fleet: MakeFleet, second: signal.Signals
) -> None:
    one, runs = fleet(pages=1)
    worker = one.start()
    one.wait_until_under_way(runs)
    with one.engine.store.write():
        worker.send_signal(signal.SIGINT)  # as Ctrl-C does
        one.wait_for_log("worker drains")
        os.kill(worker.pid, 0)  # it is still there
        worker.send_signal(second)
        assert one.end(worker) == -second
    one.start()
    one.wait_until_complete(runs)
    one.assert_whole(1)


@sqlite_only  # a file that this test does not use: its server is its own
def test_a_server_that_restarts_in_mid_sync_is_waited_for(
    restarted: RestartedServer, fleet: MakeFleet
) -> None:
    one, runs = fleet(url=restarted.url)
    one.start()
    one.wait_until_under_way(runs)
    following, followed = one.follow(runs[0])
    assert json.loads(followed.read_text().splitlines()[0])["status"] == "starting"
    one.engine.close()
    restarted.stop()
    one.wait_for_log("the database is away, trying again", times=2)
    one.wait_for_log("maintenance waits", "heartbeat not written")
    restarted.start()
    one.wait_until_complete(runs)
    one.assert_whole(2)
    one.wait_for_log("maintenance continues", "heartbeat written again")
    assert one.end(following) == 0
    lines = [json.loads(line) for line in followed.read_text().splitlines()]  # and nothing on stderr
    assert lines[-1]["status"] == "complete"
    # One JSON object a line, and each problem once.
    events = [json.loads(line)["event"] for line in one.log.read_text().splitlines()]
    assert events.count("maintenance waits") <= 5
    assert events.count("heartbeat not written") <= 5


def test_the_command_shows_and_cancels_a_run_on_any_worker(fleet: MakeFleet) -> None:
    one, (run,) = fleet(pages=1, conversations=5000)
    one.start()
    one.wait_until_under_way([run])
    following, followed = one.follow(run)
    assert "will end at its next batch" in one.call("runs", "cancel", run.id)
    assert one.end(following) == 3
    *events, shown = [json.loads(line) for line in followed.read_text().splitlines()]
    assert shown["status"] == "cancelled"
    assert events[0]["status"] == "starting"
    assert events[-1]["status"] == "complete_with_errors"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert 100 <= shown["fetched"] < 5000
    assert one.query("SELECT COUNT(*) FROM messenger_conversations") == [(shown["inserted"],)]
