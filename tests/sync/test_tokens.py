"""A token that dies during a scan must be replaced; nothing that is stored is lost or fetched again."""

import pytest

from inboxsync.engine import Engine
from inboxsync.model import History, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.nodes import View
from tests.fixtures import SandboxServer
from tests.sync.fixtures import (
    Add,
    BacklogOf,
    Ready,
    ServedMessages,
    Stored,
    StoredMessages,
    Sync,
    WriteMessages,
)

SANDBOX = {"conversations": 30, "messages": (1, 8)}

MARKS = "SELECT token_state, token_reason, token_problem FROM facebook_pages"
REASONS = {
    458: ("app_removed", "Authorise the app again"),
    459: ("checkpoint", "Log in at facebook.com once"),
    460: ("password_changed", "password changed"),
    463: ("expired", "token expired"),
    464: ("unconfirmed", "Confirm the Facebook account"),
    467: ("logged_out", "session ended"),
    490: ("login_approval", "Approve the login"),
    492: ("role_lost", "role on the Page"),
}


@pytest.fixture
def heavy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folder of each list call that asked for messages, where it was answered."""
    calls: list[str] = []
    answer = Conversations.answer

    def count(self: Conversations, call: Call, view: View) -> str:
        text = answer(self, call, view)
        if "messages" in call.parameters.get("fields", ""):
            calls.append(call.parameters.get("folder", "inbox"))
        return text

    monkeypatch.setattr(Conversations, "answer", count)
    return calls


def revive(served: SandboxServer, engine: Engine, add: Add) -> None:
    served.sandbox.http.faults = Faults()
    add(engine, served, token=served.sandbox.tokens.mint(served.page))


@pytest.mark.parametrize("subcode", REASONS)
def test_the_page_is_marked_with_the_reason_and_what_to_do(
    ready: Ready, sync: Sync, stored: Stored, add: Add, subcode: int
) -> None:
    served, engine = ready(conversations=350)
    served.sandbox.http.faults = Faults(token_dies_after=4, token_subcode=subcode)
    run = sync(engine)
    reason, what_to_do = REASONS[subcode]
    assert run.status is RunStatus.FAILED
    assert run.next == f"inboxsync pages add {served.page.page_id}"
    ((state, why, problem),) = stored(engine, MARKS)
    assert (state, why) == ("invalid", reason)
    assert what_to_do in problem
    revive(served, engine, add)
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored(engine, MARKS) == [("valid", None, None)]


@pytest.mark.parametrize("cursors_die_with_token", [False, True])
def test_after_a_new_token_nothing_above_the_position_is_fetched_again(
    ready: Ready,
    sync: Sync,
    add: Add,
    heavy: list[str],
    cursors_die_with_token: bool,
    stored_messages: StoredMessages,
) -> None:
    served, engine = ready(conversations=950, cursors_die_with_token=cursors_die_with_token)
    served.sandbox.http.faults = Faults(token_dies_after=2 + 6)
    first = sync(engine)
    assert first.counts.inserted >= 400
    revive(served, engine, add)
    heavy.clear()
    again = sync(engine)
    assert again.status is RunStatus.COMPLETE
    assert len(stored_messages(engine)) == 950
    left = -(-(950 - first.counts.inserted) // 100)
    # What is left, the answer in which the position lies once more, and the closing catch-up scan.
    assert heavy.count("inbox") <= left + 1 + 1


@pytest.mark.parametrize("cursors_die_with_token", [False, True])
def test_a_token_that_dies_in_mid_history_loses_nothing(
    ready: Ready,
    sync: Sync,
    add: Add,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    cursors_die_with_token: bool,
) -> None:
    served, engine = ready(
        conversations=4, messages=(450, 450), cursors_die_with_token=cursors_die_with_token
    )
    served.sandbox.http.faults = Faults(token_dies_after=2 + 4 + 7)
    assert sync(engine, history=History.ALL).status is RunStatus.FAILED
    revive(served, engine, add)
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored_messages(engine) == {
        graph_id: set(ids) for graph_id, ids in served_messages(served).items()
    }


def test_a_token_that_dies_with_an_open_backlog_keeps_it(
    ready: Ready,
    sync: Sync,
    add: Add,
    write: WriteMessages,
    backlog: BacklogOf,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 4, 350)
    sync(engine, stop_after=2)
    served.sandbox.tokens.kill_all(463)
    assert sync(engine).status is RunStatus.FAILED
    assert backlog(engine) == [("gap", graph_id)]
    revive(served, engine, add)
    assert sync(engine).status is RunStatus.COMPLETE
    assert set(served_messages(served)[graph_id]) == stored_messages(engine)[graph_id]
