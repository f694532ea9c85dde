"""A Page's inbox as HTML that a person can read with a browser alone: a folder, or one file.

A folder has files of a hundred conversations, so that a browser's own search covers many of them, and lists
that link to them. A folder or file gets its name when it is complete; before, it is not there.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from inboxsync.model import Page
from inboxsync.reports.attachments import Link
from inboxsync.reports.export import OnProgress
from inboxsync.reports.files import atomic_file
from inboxsync.reports.folders import FolderManifest, NewFolder, atomic_folder
from inboxsync.reports.pages import Pages
from inboxsync.store import Store
from inboxsync.store.reading import Scope, Thread, count_conversations, iter_messages_of, iter_threads

# Conversations in a file: some hundred kilobytes, unless someone wrote very much.
_A_FILE: Final = 100
_FILE_BYTES: Final = 2_000_000
_A_LIST: Final = 5_000
_INDEX: Final = Link(label="All conversations", url="index.html")

# A conversation with its number in the archive, from 1 on.
_Numbered = tuple[int, Thread]


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What was written."""

    conversations: int
    files: int
    bytes: int


class Archive:
    """An archive of one state of the database, ready to be written: see `open_archive`."""

    def __init__(self, connection: Connection, page: Page, *, zone: tzinfo, now: datetime) -> None:
        self.conversations = count_conversations(connection, Scope(pages=(page,)))
        self._connection = connection
        self._page = page
        self._now = now
        self._pages = Pages(page, zone=zone, exported_at=now)
        self._title = page.name or page.facebook_page_id

    def write_file(self, path: Path, on_progress: OnProgress) -> Archived:
        """Write everything into one file. Raises OutputFailed."""
        size = 0
        with atomic_file(path.resolve()) as file:
            for part in self._one_file(on_progress):
                size += file.write(part)
        return Archived(conversations=self.conversations, files=1, bytes=size)

    def write_folder(self, path: Path, on_progress: OnProgress) -> Archived:
        """Write a new folder; `index.html` is the file to open first. Raises OutputFailed."""
        with atomic_folder(path.resolve()) as folder:
            firsts = self._write_threads(folder, on_progress)
            self._write_lists(folder, firsts)
            written = folder.written
            folder.close(
                FolderManifest(
                    what="html",
                    page_id=self._page.facebook_page_id,
                    platform=self._page.platform.value,
                    conversations=self.conversations,
                    exported_at=self._now,
                    files=written,
                )
            )
        size = sum(file.bytes for file in written)
        return Archived(conversations=self.conversations, files=len(written), bytes=size)

    def _one_file(self, on_progress: OnProgress) -> Iterator[bytes]:
        pages = self._pages
        yield from pages.head(self._title)
        yield from pages.cover(self.conversations, is_one_file=True)
        yield from pages.list_head(1)
        for number, thread in self._numbered():
            yield from pages.list_row(thread.conversation, f"#c{number}")
        yield from pages.list_foot()
        for number, thread in self._numbered():
            on_progress(number)
            yield from self._thread(number, thread)
        yield from pages.foot()

    def _write_threads(self, folder: NewFolder, on_progress: OnProgress) -> list[int]:
        """Write the conversations; returns the number of the first one of each file."""
        firsts: list[int] = []
        with closing(self._numbered()) as numbered:
            following = next(numbered, None)
            while following is not None:
                firsts.append(following[0])
                following = self._write_some(folder, len(firsts) - 1, following, numbered, on_progress)
        return firsts

    def _write_some(
        self,
        folder: NewFolder,
        place: int,
        first: _Numbered,
        numbered: Iterator[_Numbered],
        on_progress: OnProgress,
    ) -> _Numbered | None:
        """Write one file of conversations; returns the first conversation that is not in it."""
        links = [_INDEX, *([Link(label="Newer", url=_threads_name(place - 1))] if place else [])]
        following: _Numbered | None = first
        with folder.opened(_threads_name(place)) as file:
            title = f"{self._title}: conversations from {first[0]:,} on"
            written = sum(file.write(part) for part in self._pages.head(title, links))
            while following is not None:
                number, thread = following
                on_progress(number)
                written += sum(file.write(part) for part in self._thread(number, thread))
                following = next(numbered, None)
                if number - first[0] + 1 >= _A_FILE or written >= _FILE_BYTES:
                    break
            if following is not None:
                links.append(Link(label="Older", url=_threads_name(place + 1)))
            file.writelines(self._pages.foot(links))
        return following

    def _write_lists(self, folder: NewFolder, firsts: list[int]) -> None:
        """Write the lists that link to the conversations."""
        numbered = self._numbered()
        lists = max(1, -(-self.conversations // _A_LIST))
        for place in range(lists):
            links = [
                Link(label=f"List {each + 1}", url=_list_name(each)) for each in range(lists) if lists > 1
            ]
            with folder.opened(_list_name(place)) as file:
                file.writelines(self._pages.head(self._title, links))
                file.writelines(self._pages.cover(self.conversations, is_one_file=False))
                file.writelines(self._pages.list_head(place * _A_LIST + 1))
                for number, thread in islice(numbered, _A_LIST):
                    href = f"{_threads_name(bisect_right(firsts, number) - 1)}#c{number}"
                    file.writelines(self._pages.list_row(thread.conversation, href))
                file.writelines(self._pages.list_foot())
                file.writelines(self._pages.foot(links))

    def _thread(self, number: int, thread: Thread) -> Iterator[bytes]:
        return self._pages.thread(number, thread, iter_messages_of(self._connection, thread.conversation.id))

    def _numbered(self) -> Generator[_Numbered, None, None]:
        yield from enumerate(iter_threads(self._connection, self._page), start=1)


@contextmanager
def open_archive(store: Store, page: Page, *, zone: tzinfo, now: datetime) -> Iterator[Archive]:
    """An archive of a Page, to be written within the context; its times are shown in `zone`."""
    with store.read() as connection:
        yield Archive(connection, page, zone=zone, now=now)


def _threads_name(place: int) -> str:
    return f"conversations-{place + 1:04}.html"


def _list_name(place: int) -> str:
    return _INDEX.url if place == 0 and _INDEX.url else f"index-{place + 1}.html"
