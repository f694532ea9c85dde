"""Anything that can happen, in any order; then the faults end, and everything must be there.

The oracle is the sandbox's own world. Nothing invented: whatever is stored was in the world at
some time. Nothing lost: once a sync ends complete, every conversation is stored with its newest
messages, without a gap below them.
"""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal, Unpack

import uvicorn
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inboxsync.engine import Engine
from inboxsync.model import History, Mode, Platform, Run, RunStatus
from inboxsync.sandbox import Faults, Sandbox, SandboxConfig
from inboxsync.sandbox.folders import TOP
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.threads import Thread
from inboxsync.settings import Settings
from inboxsync.store.state.pages import list_pages
from inboxsync.sync import BatchStored, Event, Outcome, Stop, SyncOptions
from tests.fixtures import Row, examples
from tests.sync.fixtures import Options

MESSAGES = (
    "SELECT c.conversation_id, m.message_id, m.text FROM messages m "
    "JOIN messenger_conversations c ON c.id = m.conversation_id"
)
CONVERSATIONS = "SELECT conversation_id, folder FROM messenger_conversations"
NEWEST = 10
SOME_FAULTS = [
    Faults(reset=0.1, html=0.05, empty=0.05),
    Faults(null=0.1, cut=0.1, code_2=0.1),
    Faults(code_1=0.1, transient=0.1),
    Faults(short_batch=0.4, empty_batch=0.3),
    Faults(repeat_cursor=0.4),
    Faults(refuse_cursors=True),
    Faults(weight_limit=60),
    Faults(poison_slots=(0, 5, 6)),
    Faults(poison=2, weight_limit=200),
]


@contextmanager
def served(sandbox: Sandbox) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.force_exit = server.should_exit = True
    thread.join()


class StopAfter:
    """Asks the run to stop after so many batches."""

    def __init__(self, stop: Stop, batches: int | None) -> None:
        self._stop = stop
        self._left = batches

    def on_event(self, event: Event) -> None:
        if isinstance(event, BatchStored) and self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._stop.ask("the machine asked")


Cursors = Literal["opaque", "index"]


class SyncMachine(RuleBasedStateMachine):
    """One Page, the people who write to it, and everything that can happen to its syncs."""

    @initialize(
        seed=st.integers(0, 3),
        cursors=st.sampled_from(["opaque", "opaque", "index"]),
        windows=st.booleans(),
        write_every=st.sampled_from([0, 0, 3, 7]),
        slow=st.booleans(),
    )
    def begin(self, *, seed: int, cursors: Cursors, windows: bool, write_every: int, slow: bool) -> None:
        self.cursors = cursors
        config = SandboxConfig(
            conversations=45,
            folders={"spam": 12, "other": 4},
            messages=(1, 25),
            seed=seed,
            limits=False,
            cursors=cursors,
            time_windows=windows,
            write_every=write_every,
            latency_seconds=0.01 if slow else 0.0,
            largest_limit=100,
        )
        self.sandbox = Sandbox(config)
        self.page = self.sandbox.world.pages[0]
        self.mailbox = self.page.messenger
        self._serving = served(self.sandbox)
        url = self._serving.__enter__()
        self._folder = tempfile.TemporaryDirectory()
        self.engine = Engine(
            Settings(
                data_dir=Path(self._folder.name),
                graph_url=url,
                calls_per_second=300.0 if slow else 0.0,
                retry_base_seconds=0.001,
            )
        )
        self.ever_texts: set[tuple[str, str | None]] = set()
        self.gone: set[str] = set()
        self.is_all = False
        self.writings = 0
        self.note_world()
        self.add_page(self.page.token)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            self._serving.__exit__(None, None, None)
            self._folder.cleanup()

    # What the world is like

    def world(self) -> dict[str, Thread]:
        view = View(self.page, is_instagram=False)
        threads = (
            self.mailbox.thread(slot)
            for folder in self.mailbox.folders.values()
            for slot in folder.after(TOP)
        )
        return {
            view.thread_id(thread): thread for thread in threads if thread is not None and thread.messages
        }

    def note_world(self) -> None:
        view = View(self.page, is_instagram=False)
        for thread in self.world().values():
            for message in thread.messages:
                self.ever_texts.add((view.message_id(thread, message.ordinal), message.text or None))

    def some_slot(self, number: int) -> int:
        threads = sorted(self.world().values(), key=lambda thread: thread.slot)
        return threads[number % len(threads)].slot

    def graph_id_of(self, slot: int) -> str:
        thread = self.mailbox.thread(slot)
        assert thread is not None
        return View(self.page, is_instagram=False).thread_id(thread)

    def query(self, sql: str) -> list[Row]:
        with self.engine.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def add_page(self, token: str) -> None:
        asyncio.run(
            self.engine.add_page(self.page.page_id, platform=Platform.MESSENGER, token=token, name=None)
        )

    # What people do

    @rule(number=st.integers(0, 1000), burst=st.sampled_from([1, 1, 2, 15, 40]), from_page=st.booleans())
    def somebody_writes(self, *, number: int, burst: int, from_page: bool) -> None:
        slot = self.some_slot(number)
        for _ in range(burst):
            self.writings += 1
            self.page.write(slot, f"writing {self.writings}", from_page=from_page)

    @rule(folder=st.sampled_from(["inbox", "spam"]), burst=st.sampled_from([1, 12]))
    def somebody_new_writes(self, *, folder: str, burst: int) -> None:
        slot = self.mailbox.begin(folder)
        for _ in range(burst):
            self.writings += 1
            self.mailbox.write(slot, f"writing {self.writings}")

    @rule(number=st.integers(0, 1000), folder=st.sampled_from(["inbox", "spam", "other", "page_done"]))
    def the_owner_moves_one(self, *, number: int, folder: str) -> None:
        slot = self.some_slot(number)
        graph_id = self.graph_id_of(slot)
        if graph_id not in {each for each, _ in self.query(CONVERSATIONS)}:
            return  # into a list that has been read, by a move that no list shows: only `verify` finds it
        self.mailbox.move(slot, folder)
        self.writings += 1
        self.page.write(slot, f"writing {self.writings}")  # so that the lists show it

    @rule(number=st.integers(0, 1000), which=st.integers(0, 1000))
    def somebody_unsends(self, *, number: int, which: int) -> None:
        slot = self.some_slot(number)
        thread = self.mailbox.thread(slot)
        if thread is None or len(thread.messages) < 2:
            return
        self.note_world()
        self.mailbox.unsend(slot, thread.messages[which % len(thread.messages)].ordinal)

    @precondition(lambda self: self.cursors != "index")  # a deletion shifts an index: the source's own loss
    @rule(number=st.integers(0, 1000))
    def the_owner_deletes_one(self, *, number: int) -> None:
        if len(self.world()) < 10:
            return
        self.note_world()
        slot = self.some_slot(number)
        self.gone.add(self.graph_id_of(slot))
        self.mailbox.delete(slot)

    # What befalls the source

    @rule(faults=st.sampled_from(SOME_FAULTS))
    def faults_begin(self, *, faults: Faults) -> None:
        self.set_faults(faults)

    @rule()
    def faults_end(self) -> None:
        self.set_faults(Faults())

    def set_faults(self, faults: Faults) -> None:
        http = self.sandbox.http
        faults = replace(faults, forget_cursors=http.faults.forget_cursors)
        http.faults = self.sandbox.conversations.faults = faults

    @rule()
    def cursors_are_forgotten(self) -> None:
        http = self.sandbox.http
        http.faults = replace(http.faults, forget_cursors=http.faults.forget_cursors + 1)

    @rule(windows=st.booleans())
    def windows_change(self, *, windows: bool) -> None:
        conversations = self.sandbox.conversations
        conversations._config = replace(conversations._config, time_windows=windows)

    @rule(renewed=st.booleans())
    def the_token_dies(self, *, renewed: bool) -> None:
        self.sandbox.tokens.kill_all(463)
        assert self.sync().status is RunStatus.FAILED
        if renewed:
            self.renew()

    def renew(self) -> None:
        before = self.sandbox.http.faults
        self.set_faults(Faults())
        self.add_page(self.sandbox.tokens.mint(self.page))
        self.set_faults(before)

    # What the user does

    def sync(self, *, stop_after: int | None = None, **options: Unpack[Options]) -> Run:
        async def go() -> Outcome:
            with self.engine.store.read() as connection:
                (page,) = list_pages(connection)
            async with self.engine.source() as source, self.engine.stop() as stop:
                one = self.engine.page_sync(
                    source,
                    page,
                    options=SyncOptions(**options),
                    stop=stop,
                    listener=StopAfter(stop, stop_after).on_event,
                )
                return await one.run()

        run = asyncio.run(go()).run
        self.note_world()
        return run

    @rule(
        mode=st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.INCREMENTAL, Mode.FULL]),
        most=st.sampled_from([None, None, 1, 7, 30]),
        stop_after=st.sampled_from([None, None, 1, 2, 5]),
        history=st.sampled_from([None, None, None, History.ALL, History.NEWEST]),
    )
    def the_user_syncs(
        self, *, mode: Mode, most: int | None, stop_after: int | None, history: History | None
    ) -> None:
        if history is not None:
            self.is_all = history is History.ALL
        self.sync(mode=mode, max_conversations=most, stop_after=stop_after, history=history)

    @rule()
    def the_user_asks_for_all_again(self) -> None:
        with self.engine.store.write() as connection:
            connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")

    # What must then be true

    @rule()
    def everything_is_there_once_the_faults_end(self) -> None:
        self.set_faults(Faults())
        self.renew()
        with self.engine.store.write() as connection:  # as if so much time had passed
            connection.exec_driver_sql("UPDATE backlog SET next_attempt_at = NULL")
        conversations = self.sandbox.conversations
        writing, conversations._config = conversations._config, replace(conversations._config, write_every=0)
        try:
            run = self.complete()
            self.nothing_is_lost()
            again = self.complete()
            assert again.counts.inserted == again.counts.updated == again.counts.events == 0
        finally:
            conversations._config = replace(conversations._config, write_every=writing.write_every)
        assert run.status is RunStatus.COMPLETE

    def complete(self) -> Run:
        run = self.sync(folder_interval=timedelta(0))
        if run.status is not RunStatus.COMPLETE and self.backlog() <= self.gone:
            self.verify()  # the source no longer has them: only a complete comparison may say so
            run = self.sync(folder_interval=timedelta(0))
        assert run.status is RunStatus.COMPLETE, run.problems
        return run

    def verify(self) -> None:
        async def go() -> bool:
            with self.engine.store.read() as connection:
                (page,) = list_pages(connection)
            async with self.engine.source() as source, self.engine.stop() as stop:
                one = self.engine.page_verify(
                    source, page, stop=stop, is_deep=False, on_batch=lambda _compared: None
                )
                verification, _ = await one.run(wait=False)
                return verification.is_complete

        assert asyncio.run(go())

    def backlog(self) -> set[str]:
        return {each for (each,) in self.query("SELECT conversation_id FROM backlog")}

    def nothing_is_lost(self) -> None:
        view = View(self.page, is_instagram=False)
        folders: dict[str, str] = dict(self.query(CONVERSATIONS))
        stored_messages: dict[str, set[str]] = {}
        for graph_id, message_id, _ in self.query(MESSAGES):
            stored_messages.setdefault(graph_id, set()).add(message_id)
        for graph_id, thread in self.world().items():
            assert folders.get(graph_id) == thread.folder, graph_id
            newest_first = [view.message_id(thread, each.ordinal) for each in reversed(thread.messages)]
            have = [each in stored_messages.get(graph_id, ()) for each in newest_first]
            must = len(have) if self.is_all else min(NEWEST, len(have))
            assert all(have[:must]), (graph_id, have)
            oldest = max((place for place, is_held in enumerate(have) if is_held), default=-1)
            assert all(have[: oldest + 1]), (graph_id, have)

    @invariant()
    def nothing_is_invented(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.note_world()
        for _, message_id, text in self.query(MESSAGES):
            assert (message_id, text or None) in self.ever_texts


TestSyncMachine = SyncMachine.TestCase
TestSyncMachine.settings = settings(
    max_examples=examples(12),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
