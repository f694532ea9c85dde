"""Each endpoint against the sandbox over HTTP."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import pytest

from inboxsync.errors import (
    AnswerFailed,
    ConversationMissing,
    CursorRefused,
    PageNotVisible,
    SourceUnreachable,
)
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Batch, Conversation, Message, Platform, Window
from inboxsync.sandbox.config import Faults
from tests.fixtures import EngineFor, Serve
from tests.graph.fixtures import AccessTo, Ask, Use

LONG = (30, 40)
INSTAGRAM = Platform.INSTAGRAM


class _Answer(Protocol):
    @property
    def has_next(self) -> bool: ...

    @property
    def after(self) -> str | None: ...


A = TypeVar("A", bound=_Answer)


async def scan(fetch: Callable[[str | None], Awaitable[A]]) -> list[A]:
    """Every answer of a list, from the top to its end."""
    answers = [await fetch(None)]
    while answers[-1].has_next:
        answers.append(await fetch(answers[-1].after))
    return answers


def ids(batches: list[Batch]) -> list[str]:
    return [each.conversation_id for batch in batches for each in batch.conversations]


def test_every_way_to_list_lists_the_same(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=70)
    access = access_to(served)

    async def use(client: GraphClient) -> list[list[str]]:
        return [
            ids(
                await scan(
                    lambda after: client.fetch_conversations(access, after=after, limit=25, messages=2)
                )
            ),
            ids(await scan(lambda after: client.fetch_conversation_times(access, after=after, limit=25))),
            ids(await scan(lambda after: client.fetch_summary(access, after=after, limit=25))),
        ]

    full, times, summary = ask(served, use)
    assert full == times == summary
    assert set(full) == set(served.threads())
    assert len(full) == len(served.threads())


def test_each_folder_has_its_own_list(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=60, folders={"page_done": 7})
    access = access_to(served)

    async def use(client: GraphClient) -> list[list[str]]:
        return [
            ids(
                await scan(
                    lambda after, folder=folder: client.fetch_conversation_times(  # type: ignore[misc]
                        access, folder=folder, after=after, limit=100
                    )
                )
            )
            for folder in (None, "inbox", "page_done")
        ]

    unnamed, inbox, done = ask(served, use)
    assert unnamed == inbox
    assert not set(done) & set(inbox)
    assert len(done) == 7


def test_a_window_returns_only_what_lies_in_it(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=60, time_windows=True)
    access = access_to(served)
    times = sorted(datetime.fromtimestamp(each.updated_at, UTC) for each in served.threads().values())
    window = Window(after=times[15], before=times[40])

    async def use(client: GraphClient) -> tuple[Batch, Batch]:
        return (
            await client.fetch_conversations(access, window=window, after=None, limit=100, messages=1),
            await client.fetch_conversation_times(access, window=window, after=None, limit=100),
        )

    for batch in ask(served, use):
        found = sorted(each.source_updated_at for each in batch.conversations if each.source_updated_at)
        assert len(found) == len(batch.conversations)
        assert found == [at for at in times if times[15] <= at < times[40]]


def test_a_summary_has_counts_and_message_ids(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=5, messages=LONG)
    for access in (access_to(served), access_to(served, INSTAGRAM)):
        fetch = partial(GraphClient.fetch_summary, access=access, after=None, limit=10, message_ids=30)
        batch = ask(served, fetch)
        assert len(batch.conversations) == 5
        for each in (listed.whole() for listed in batch.conversations):
            assert each.message_count is not None
            assert each.message_count >= 30
            assert len({message.message_id for message in each.messages}) == 30
            # Only ids were asked for: that is no sign that there is nothing more.
            assert all(message.is_readable for message in each.messages)


def test_one_conversation_is_as_the_list_has_it(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=6)

    async def use(client: GraphClient) -> None:
        for access in (access_to(served), access_to(served, INSTAGRAM)):
            batch = await client.fetch_conversations(access, after=None, limit=10, messages=4)
            for listed in batch.conversations:
                alone = await client.fetch_conversation(access, listed.conversation_id, messages=4)
                assert _without_signatures(alone) == _without_signatures(listed.whole())

    ask(served, use)


def _without_signatures(conversation: Conversation) -> list[object]:
    """Every answer signs media URLs again."""
    return [
        *((each.message_id, each.sent_at, each.text, each.sender_id) for each in conversation.messages),
        conversation.conversation_id,
        conversation.participants,
        conversation.message_count,
    ]


def test_a_conversations_messages_come_whole_and_newest_first(
    serve: Serve, ask: Ask, access_to: AccessTo
) -> None:
    served = serve(conversations=1, messages=LONG)
    access = access_to(served)
    (thread_id, thread) = next(iter(served.threads().items()))

    async def use(client: GraphClient) -> list[list[Message]]:
        return [
            [
                message
                for batch in await scan(
                    lambda after, only=only: client.fetch_messages(  # type: ignore[misc]
                        access, thread_id, after=after, limit=7, ids_only=only
                    )
                )
                for message in batch.messages
            ]
            for only in (False, True)
        ]

    whole, named = ask(served, use)
    assert [each.message_id for each in whole] == [each.message_id for each in named]
    assert len(whole) == len(thread.messages)
    times = [each.sent_at for each in named if each.sent_at is not None]
    assert len(times) == len(named)
    assert times == sorted(times, reverse=True)
    assert [each.text or "" for each in whole] == [each.text for each in thread.messages[::-1]]
    assert {each.text for each in named} == {None}


def test_instagram_is_asked_for_twenty_messages_and_older_ones_are_unreadable(
    serve: Serve, ask: Ask, access_to: AccessTo
) -> None:
    served = serve(conversations=2, messages=LONG)
    access = access_to(served, INSTAGRAM)

    async def use(client: GraphClient) -> None:
        batch = await client.fetch_conversations(access, after=None, limit=5, messages=50)
        for each in (listed.whole() for listed in batch.conversations):
            assert len(each.messages) == 20
            assert each.has_older_messages
            assert all(message.is_readable for message in each.messages)
            alone = await client.fetch_conversation(access, each.conversation_id, messages=50)
            assert len(alone.messages) == 20
            edge = await client.fetch_messages(access, each.conversation_id, after=None, limit=100)
            assert [message.is_readable for message in edge.messages[:20]] == [True] * 20
            assert not any(message.is_readable for message in edge.messages[20:])
            assert len(edge.messages) > 20

    ask(served, use)


def test_a_missing_conversation_is_another_error_than_a_missing_page(
    serve: Serve, ask: Ask, access_to: AccessTo
) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    missing: dict[type[Exception], list[Use[object]]] = {
        ConversationMissing: [
            lambda client: client.fetch_conversation(access, "t_999999999999", messages=1),
            lambda client: client.fetch_messages(access, "t_999999999999", after=None, limit=5),
            lambda client: client.fetch_conversation(access, "no/such?thing#%", messages=1),
        ],
        PageNotVisible: [
            lambda client: client.fetch_conversations(_elsewhere(access), after=None, limit=1, messages=1),
            lambda client: client.fetch_page(_elsewhere(access)),
        ],
    }
    for error, uses in missing.items():
        for use in uses:
            with pytest.raises(error) as caught:
                ask(served, use)
            assert getattr(caught.value, "reason", "page_not_visible") == "page_not_visible"


def _elsewhere(access: Access) -> Access:
    return replace(access, page_id="1", account_id="1")


def test_an_invalid_cursor_is_refused_by_every_list(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    thread_id = next(iter(served.threads()))
    uses: list[Use[object]] = [
        lambda client: client.fetch_conversations(access, after="x", limit=1, messages=1),
        lambda client: client.fetch_summary(access, after="x", limit=1),
        lambda client: client.fetch_messages(access, thread_id, after="x", limit=1),
    ]
    for use in uses:
        with pytest.raises(CursorRefused):
            ask(served, use)


def test_a_repeated_cursor_is_retried_and_refused_after_the_last_attempt(
    serve: Serve, ask: Ask, access_to: AccessTo
) -> None:
    served = serve(conversations=30, faults=Faults(repeat_cursor=1.0))
    access = access_to(served)

    async def use(client: GraphClient) -> None:
        first = await client.fetch_conversation_times(access, after=None, limit=10)
        with pytest.raises(CursorRefused, match="Tried 3 times"):
            await client.fetch_conversation_times(access, after=first.after, limit=10)

    ask(served, use)
    assert served.list_calls() == 1 + 3


def test_a_cursor_repeated_now_and_then_loses_nothing(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=60, faults=Faults(repeat_cursor=0.2))
    access = access_to(served)
    batches = ask(
        served,
        lambda client: scan(lambda after: client.fetch_conversation_times(access, after=after, limit=10)),
    )
    assert sorted(ids(batches)) == sorted(served.threads())


FAILURES = [
    Faults(reset=1.0),
    Faults(html=1.0),
    Faults(empty=1.0),
    Faults(null=1.0),
    Faults(cut=1.0),
    Faults(code_1=1.0),
    Faults(code_2=1.0),
    Faults(transient=1.0),
]


@pytest.mark.parametrize(
    "faults", FAILURES, ids=["reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient"]
)
def test_a_source_that_answers_without_an_answer_has_failed_to_answer(
    serve: Serve, ask: Ask, access_to: AccessTo, faults: Faults
) -> None:
    served = serve(conversations=3, faults=faults)
    access = access_to(served)
    with pytest.raises(AnswerFailed, match="Tried 3 times"):
        ask(served, lambda client: client.fetch_conversation_times(access, after=None, limit=1))


def test_an_unreadable_conversation_fails_its_own_node(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=5, faults=Faults(poison=5))
    access = access_to(served)
    thread_id = next(iter(served.threads()))
    uses: list[Use[object]] = [
        lambda client: client.fetch_conversation(access, thread_id, messages=1),
        lambda client: client.fetch_messages(access, thread_id, after=None, limit=1),
    ]
    for use in uses:
        with pytest.raises(AnswerFailed):
            ask(served, use)


def test_an_answer_that_takes_too_long_has_failed(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=3, faults=Faults(stall=1.0, stall_seconds=1.0))
    access = access_to(served)
    with pytest.raises(AnswerFailed):
        ask(
            served,
            lambda client: client.fetch_conversation_times(access, after=None, limit=1),
            timeout_seconds=0.05,
        )


def test_the_environment_decides_how_long_an_answer_may_take(
    serve: Serve, engine_for: EngineFor, access_to: AccessTo
) -> None:
    served = serve(conversations=3, faults=Faults(stall=1.0, stall_seconds=1.0))
    access = access_to(served)

    async def go() -> None:
        async with engine_for(served, timeout_seconds=0.05).source() as client:
            await client.fetch_conversation_times(access, after=None, limit=1)

    with pytest.raises(AnswerFailed):
        asyncio.run(go())


def test_a_source_that_is_not_there_is_unreachable(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    served.url = f"http://127.0.0.1:{port}"
    with pytest.raises(SourceUnreachable) as caught:
        ask(served, lambda client: client.fetch_conversation_times(access, after=None, limit=1))
    assert type(caught.value) is SourceUnreachable


def test_epoch_milliseconds_are_exact(serve: Serve, ask: Ask, access_to: AccessTo) -> None:
    served = serve(conversations=4, time_windows=True)
    access = access_to(served)
    newest = max(each.updated_at for each in served.threads().values())
    at = datetime.fromtimestamp(newest, UTC)
    for before, expected in ((at, 3), (at + timedelta(milliseconds=1), 4)):
        window = Window(before=before)
        fetch = partial(
            GraphClient.fetch_conversation_times, access=access, window=window, after=None, limit=10
        )
        assert len(ask(served, fetch).conversations) == expected
