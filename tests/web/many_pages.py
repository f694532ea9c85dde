"""Two hundred Pages in every state that a Page can be in, with names of many kinds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

from sqlalchemy import Connection, insert

from inboxsync.engine import Engine
from inboxsync.model import (
    Mode,
    Page,
    Platform,
    Problem,
    Run,
    RunStatus,
    Schedule,
    TokenReason,
    TokenState,
)
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.pages import set_last_synced_at, set_token_state, upsert_page
from inboxsync.store.state.runs import start_run, update_run
from inboxsync.store.state.schedules import put_schedule
from inboxsync.store.tables import backlog, page_totals
from tests.reports.fixtures import Inbox

MANY: Final = 200
NAMES: Final = (
    "Bäckerei Schönfelder am Marktplatz",
    "Tiệm Bánh Mì Hà Nội",
    "Versicherungsmaklergesellschaft Süd",
    "مخبز الياسمين للحلويات الشرقية",
    "山田太郎商店",
    "한국 전자 상사",
    "ร้านอาหารไทยบางกอก",
    "The.Very.Long_Instagram.Handle30",
    "Ann's Shop",
    "Кофейня на углу",
)
PEOPLE: Final = (
    "Nguyễn Thị Tuyết Mai",
    "Annegret von Müller-Lüdenscheidt",
    "محمد بن عبد الرحمن الأنصاري",
    "山田太郎",
    "Li",
    "Wolfeschlegelsteinhausenbergerdorff Jr.",
)
# No Page of `NAMES`: one word that is longer than any column.
LONGEST: Final = "W" * 300


def fill_pages(engine: Engine, *, now: datetime | None = None) -> list[Page]:
    """Add them: a third has a token that does not work, for every reason there is; most are fine."""
    now = now or datetime.now(UTC)
    states = cycle([*TokenReason, *(None,) * 27])
    made = []
    for number, name in zip(range(MANY), cycle(NAMES), strict=False):
        page = _add(engine, number, LONGEST if number == MANY - 1 else f"{name} {number:03}", now)
        with engine.store.write() as connection:
            if reason := next(states):
                state = TokenState.NOT_PERMITTED if reason is TokenReason.BLOCKED else TokenState.INVALID
                set_token_state(
                    connection,
                    page,
                    state,
                    reason=reason,
                    problem="Error validating access token (Graph error 190/460, trace AbC)",
                    now=now,
                )
            _put_state(connection, page, number, now)
        made.append(page)
    return made


def fill_people(engine: Engine, pages: Sequence[Page], *, now: datetime | None = None) -> None:
    """Conversations with people of long and short names, who gave long addresses and answered each other."""
    inbox, now = Inbox(engine.store), now or datetime.now(UTC)
    for page in pages:
        for number, name in zip(range(12), cycle((*PEOPLE, None))):
            sent_at = now - timedelta(minutes=7 * number)
            address = f"{'long.' * 8 * (number % 2)}a{number}@{'company' * 6}.com"
            text = f"I am on +4917123456{number:02} and {address}"
            asked = inbox.said(number - 9000, text, sent_at=sent_at)
            answered = inbox.answered(
                number - 9000, "W" * 300, sent_at=sent_at, reply_to_message_id=asked.message_id
            )
            contact = f"{page.facebook_page_id}{number}"
            inbox.put(page, inbox.conversation(contact, asked, answered, name=name, unread_count=number % 3))
    engine.derive()


def _add(engine: Engine, number: int, name: str, now: datetime) -> Page:
    with engine.store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id=f"10{number:013}",
            platform=Platform.INSTAGRAM if number % 10 == 7 else Platform.MESSENGER,
            account_id="1",
            name=name,
            access_token_encrypted="x",
            now=now,
            token_expires_at=now + timedelta(days=number % 15 - 1) if number % 15 < 5 else None,
        )
    return page


def _put_state(connection: Connection, page: Page, number: int, now: datetime) -> None:
    totals = {"conversations": number * 61_237, "contacts": number * 60_001, "messages": number * 612_345}
    connection.execute(insert(page_totals), {"page_id": page.id} | totals)
    if number % 11:
        set_last_synced_at(connection, page, now - timedelta(minutes=number * number), now=now)
    next_at = now + timedelta(minutes=number)
    put_schedule(connection, Schedule(page_id=page.id, is_paused=number % 9 == 4, next_sync_at=next_at))
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform.value,
        mode=Mode.INCREMENTAL,
        status=RunStatus.RUNNING,
        started_at=now - timedelta(minutes=5),
    )
    start_run(connection, run)
    if number % 25 != 20:
        status = RunStatus.FAILED if number % 13 == 6 else RunStatus.COMPLETE
        update_run(connection, ended(run, status, now))
    if number % 12 == 3:
        connection.execute(insert(backlog), [_item(page, slot, now) for slot in range(number)])


def ended(run: Run, status: RunStatus, now: datetime) -> Run:
    """The run at its end."""
    problems = (Problem(code="x", message="It failed.", hint=""),) if status is RunStatus.FAILED else ()
    return replace(run, status=status, finished_at=now, problems=problems)


def _item(page: Page, slot: int, now: datetime) -> dict[str, object]:
    return {
        "page_id": page.id,
        "kind": "history",
        "conversation_id": f"t_{slot}",
        "folder": "inbox",
        "created_at": now,
        "updated_at": now,
    }
