"""Each endpoint against the sandbox over HTTP."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inboxsync.errors import (
    AnswerFailed,
    ConversationMissing,
    CursorRefused,
    PageNotVisible,
    SourceUnreachable,
)
from inboxsync.graph import GraphClient
from inboxsync.model import Batch, Platform, Window
from inboxsync.sandbox.config import Faults

LONG = (30, 40)
INSTAGRAM = Platform.INSTAGRAM


async def scan(fetch: Callable[[str | None], Awaitable[Any]]) -> list[Any]:
    """Every answer of a list, from the top to its end."""
    answers = [await fetch(None)]
    while answers[-1].has_next:
        answers.append(await fetch(answers[-1].after))
    return answers


def ids(batches: list[Batch]) -> list[str]:
    return [each.conversation_id for batch in batches for each in batch.conversations]


@pytest.fixture
def ask(open_client: Any) -> Callable[..., Any]:
    """What one use of a client gives."""

    def run(served: Any, use: Callable[[GraphClient], Awaitable[Any]], **options: Any) -> Any:
        async def go() -> Any:
            async with open_client(served.url, **options) as client:
                return await use(client)

        return asyncio.run(go())

    return run


def test_every_way_to_list_lists_the_same(serve: Any, ask: Any, access_to: Any) -> None:
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


def test_a_folder_is_listed_by_itself(serve: Any, ask: Any, access_to: Any) -> None:
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


def test_a_window_brings_what_lies_in_it_alone(serve: Any, ask: Any, access_to: Any) -> None:
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
        found = sorted(each.source_updated_at for each in batch.conversations)
        assert found == [at for at in times if times[15] <= at < times[40]]


def test_an_summary_counts_and_names_messages(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=5, messages=LONG)
    for access in (access_to(served), access_to(served, INSTAGRAM)):
        batch = ask(
            served,
            lambda client, access=access: client.fetch_summary(access, after=None, limit=10, message_ids=30),
        )
        assert len(batch.conversations) == 5
        for each in (listed.whole() for listed in batch.conversations):
            assert each.message_count >= 30
            assert len({message.message_id for message in each.messages}) == 30
            # Nothing but ids was asked for: that is no sign that there is nothing more.
            assert all(message.is_readable for message in each.messages)


def test_one_conversation_is_as_the_list_has_it(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=6)
    for access in (access_to(served), access_to(served, INSTAGRAM)):

        async def use(client: GraphClient, access: Any = access) -> None:
            batch = await client.fetch_conversations(access, after=None, limit=10, messages=4)
            for listed in batch.conversations:
                alone = await client.fetch_conversation(access, listed.conversation_id, messages=4)
                assert _without_signatures(alone) == _without_signatures(listed.whole())

        ask(served, use)


def _without_signatures(conversation: Any) -> Any:
    """Media URLs are signed anew in every answer."""
    return [(each.message_id, each.sent_at, each.text, each.sender_id) for each in conversation.messages], (
        conversation.conversation_id,
        conversation.participants,
        conversation.message_count,
    )


def test_a_conversations_messages_come_whole_and_newest_first(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=1, messages=LONG)
    access = access_to(served)
    (thread_id, thread) = next(iter(served.threads().items()))

    async def use(client: GraphClient) -> list[list[Any]]:
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
    assert [each.sent_at for each in named] == sorted((each.sent_at for each in named), reverse=True)
    assert [each.text or "" for each in whole] == [each.text for each in thread.messages[::-1]]
    assert {each.text for each in named} == {None}


def test_instagram_is_asked_for_twenty_messages_and_tells_which_cannot_be_read(
    serve: Any, ask: Any, access_to: Any
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


def test_a_missing_conversation_is_told_from_a_missing_page(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    missing: dict[type[Exception], list[Callable[[GraphClient], Awaitable[Any]]]] = {
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


def _elsewhere(access: Any) -> Any:
    return type(access)(page_id="1", platform=access.platform, account_id="1", token=access.token)


def test_a_cursor_of_nowhere_is_refused_by_every_list(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    thread_id = next(iter(served.threads()))
    uses: list[Callable[[GraphClient], Awaitable[Any]]] = [
        lambda client: client.fetch_conversations(access, after="x", limit=1, messages=1),
        lambda client: client.fetch_summary(access, after="x", limit=1),
        lambda client: client.fetch_messages(access, thread_id, after="x", limit=1),
    ]
    for use in uses:
        with pytest.raises(CursorRefused):
            ask(served, use)


def test_a_repeated_cursor_is_tried_again_and_refused_after_the_last_attempt(
    serve: Any, ask: Any, access_to: Any
) -> None:
    served = serve(conversations=30, faults=Faults(repeat_cursor=1.0))
    access = access_to(served)

    async def use(client: GraphClient) -> None:
        first = await client.fetch_conversation_times(access, after=None, limit=10)
        with pytest.raises(CursorRefused, match="Tried 3 times"):
            await client.fetch_conversation_times(access, after=first.after, limit=10)

    ask(served, use)
    assert served.list_calls() == 1 + 3


def test_a_cursor_repeated_now_and_then_loses_nothing(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=60, faults=Faults(repeat_cursor=0.2))
    access = access_to(served)
    batches = ask(
        served,
        lambda client: scan(lambda after: client.fetch_conversation_times(access, after=after, limit=10)),
    )
    assert sorted(ids(batches)) == sorted(served.threads())


@pytest.mark.parametrize("kind", ["reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient"])
def test_a_source_that_is_there_and_fails_has_failed_to_answer(
    serve: Any, ask: Any, access_to: Any, kind: str
) -> None:
    served = serve(conversations=3, faults=Faults(**{kind: 1.0}))
    access = access_to(served)
    with pytest.raises(AnswerFailed, match="Tried 3 times"):
        ask(served, lambda client: client.fetch_conversation_times(access, after=None, limit=1))


def test_a_poisoned_conversation_fails_its_own_node(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=5, faults=Faults(poison=5))
    access = access_to(served)
    uses: list[Callable[[GraphClient, str], Awaitable[Any]]] = [
        lambda client, each: client.fetch_conversation(access, each, messages=1),
        lambda client, each: client.fetch_messages(access, each, after=None, limit=1),
    ]
    for thread_id in list(served.threads())[:1]:
        for use in uses:
            with pytest.raises(AnswerFailed):
                ask(served, lambda client, use=use, each=thread_id: use(client, each))


def test_an_answer_that_takes_too_long_has_failed(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=3, faults=Faults(stall=1.0, stall_seconds=1.0))
    access = access_to(served)
    with pytest.raises(AnswerFailed):
        ask(
            served,
            lambda client: client.fetch_conversation_times(access, after=None, limit=1),
            timeout_seconds=0.05,
        )


def test_the_environment_decides_how_long_an_answer_may_take(
    serve: Any, engine_for: Any, access_to: Any
) -> None:
    served = serve(conversations=3, faults=Faults(stall=1.0, stall_seconds=1.0))
    access = access_to(served)

    async def go() -> None:
        async with engine_for(served, timeout_seconds=0.05).source() as client:
            await client.fetch_conversation_times(access, after=None, limit=1)

    with pytest.raises(AnswerFailed):
        asyncio.run(go())


def test_a_source_that_is_not_there_is_unreachable(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=3)
    access = access_to(served)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    served.url = f"http://127.0.0.1:{port}"
    with pytest.raises(SourceUnreachable) as caught:
        ask(served, lambda client: client.fetch_conversation_times(access, after=None, limit=1))
    assert type(caught.value) is SourceUnreachable


def test_epoch_milliseconds_are_exact(serve: Any, ask: Any, access_to: Any) -> None:
    served = serve(conversations=4, time_windows=True)
    access = access_to(served)
    newest = max(each.updated_at for each in served.threads().values())
    at = datetime.fromtimestamp(newest, UTC)
    for before, expected in ((at, 3), (at + timedelta(milliseconds=1), 4)):
        window = Window(before=before)
        batch = ask(
            served,
            lambda client, window=window: client.fetch_conversation_times(
                access, window=window, after=None, limit=10
            ),
        )
        assert len(batch.conversations) == expected
