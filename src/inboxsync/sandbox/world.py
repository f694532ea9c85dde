"""The sandbox's world: Pages, their folders, their conversations.

A conversation is a function of the world's key, the Page and its slot, made when it is
asked for: a million cost no memory. What is written after the start is kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from inboxsync.sandbox import ids
from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.dataset import Dataset, Recorded, load_dataset
from inboxsync.sandbox.folders import Folder
from inboxsync.sandbox.people import Person, make_person
from inboxsync.sandbox.threads import Message, Thread, make_thread

# The synthetic world ends here, whatever the clock says: every process serves the same.
ANCHOR = int(datetime(2026, 6, 30, 12, tzinfo=UTC).timestamp())
_SPAN_SECONDS = 3 * 365 * 86_400
_DEFAULT_CONVERSATIONS = 10_000
_KEPT_THREADS = 2_000
_LONGEST_ID = 20
# Other folders are small beside the inbox; their slots lie far above it.
_OTHER_FOLDERS = {"other": 200, "page_done": 100, "spam": 50}
_FOLDER_SLOTS = 10**8
_NEW_SLOTS = 9 * 10**8
_PAGE_NAMES = ("Fjord & Wool", "Café Lumière", "サンドボックス商店", "Bike Repair Oslo", "Tienda del Sol")


class PageWorld:
    """One Page with everything in its inbox, on both platforms."""

    def __init__(
        self, config: SandboxConfig, key: str, number: int, recorded: tuple[Recorded, ...] | None
    ) -> None:
        self.number = number
        self.page_id = ids.page_id(key, number)
        self.instagram_id = ids.instagram_id(key, number)
        self.name = _PAGE_NAMES[number % len(_PAGE_NAMES)] + (
            f" {number + 1}" if number >= len(_PAGE_NAMES) else ""
        )
        self.token = ids.token(key, "page", number)
        self._config = config
        self._key = key
        # Newest first, as the list has them; a tie keeps the file's order.
        self._recorded = sorted(recorded, key=lambda each: -each.ends_at) if recorded is not None else None
        self._slot_of = {each.id: slot for slot, each in enumerate(self._recorded or ())}
        self._kept: OrderedDict[int, Thread] = OrderedDict()
        self._written: dict[int, Thread] = {}
        self._new = 0
        self.folders = {folder.name: folder for folder in self._folders()}

    @property
    def inbox(self) -> Folder:
        """What is listed where no folder is asked for."""
        return self.folders["inbox"]

    def thread(self, slot: int) -> Thread | None:
        """The conversation in this slot as it is now; None where there is none."""
        if slot in self._written:
            return self._written[slot]
        if slot in self._kept:
            self._kept.move_to_end(slot)
            return self._kept[slot]
        folder = self._base_folder(slot)
        if folder is None:
            return None
        self._kept[slot] = made = self._make(slot, folder)
        if len(self._kept) > _KEPT_THREADS:
            self._kept.popitem(last=False)
        return made

    def folder_of(self, thread: Thread) -> Folder:
        """The folder that a conversation lies in."""
        return self.folders[thread.folder]

    def thread_of_person(self, person_id: str) -> Thread | None:
        """The conversation with this contact; None where there is none."""
        if not (person_id.isdecimal() and person_id.isascii() and len(person_id) <= _LONGEST_ID):
            return None
        thread = self.thread(int(person_id) - int(ids.person_id(self.page_id, 0)))
        return thread if thread is not None and thread.contact.id == person_id else None

    def person(self, person_id: str) -> Person | None:
        """The contact with this id; None where there is none."""
        thread = self.thread_of_person(person_id)
        return thread.contact if thread is not None else None

    def slot_of_dataset(self, dataset_id: str) -> int:
        """The slot of a conversation of the data set. Raises KeyError."""
        return self._slot_of[dataset_id]

    def write(
        self, slot: int | None, text: str, *, from_page: bool = False, at: int | None = None
    ) -> Message:
        """Write a message now, in a conversation or, with slot None, in a new one."""
        now = int(time.time()) if at is None else at
        thread = self._begin() if slot is None else self.thread(slot)
        if thread is None:
            raise KeyError(slot)
        message = Message(
            ordinal=len(thread.messages), at=max(now, thread.updated_at), from_page=from_page, text=text
        )
        changed = replace(
            thread,
            messages=[*thread.messages, message],
            revision=thread.revision + 1,
            unread=0 if from_page else thread.unread + 1,
        )
        self._written[thread.slot] = changed
        self.folder_of(thread).move(thread.slot, message.at)
        return message

    @property
    def newest_slot(self) -> int:
        """The slot of the conversation that was begun last."""
        return _NEW_SLOTS + self._new - 1

    def _begin(self) -> Thread:
        slot = _NEW_SLOTS + self._new
        self._new += 1
        return Thread(slot=slot, folder="inbox", contact=self._contact(slot))

    def _folders(self) -> list[Folder]:
        if self._recorded is not None:
            recorded = self._recorded
            return [Folder("inbox", 0, len(recorded), lambda slot: recorded[slot].ends_at)]
        count = self._config.conversations or _DEFAULT_CONVERSATIONS
        found = [Folder("inbox", 0, count, self._base_time(0, count))]
        for place, (name, most) in enumerate(_OTHER_FOLDERS.items(), 1):
            small = min(most, count // 20)
            first = place * _FOLDER_SLOTS
            found.append(Folder(name, first, small, self._base_time(first, small)))
        return found

    def _base_time(self, first: int, count: int) -> Callable[[int], int]:
        step = max(2, _SPAN_SECONDS // max(count, 1))

        def at(slot: int) -> int:
            # Anywhere in its own step: never before the one after it.
            jitter = (slot * 2_654_435_761 + self.number) % step
            return ANCHOR - (slot - first) * step - jitter

        return at

    def _base_folder(self, slot: int) -> Folder | None:
        for folder in self.folders.values():
            if folder.first_slot <= slot < folder.first_slot + folder.count:
                return folder
        return None

    def _make(self, slot: int, folder: Folder) -> Thread:
        if self._recorded is not None:
            return self._replay(slot, self._recorded[slot])
        return make_thread(
            self._random(slot),
            slot=slot,
            folder=folder.name,
            contact=self._contact(slot),
            ends_at=folder.base_time(slot),
            messages=self._config.messages,
        )

    def _replay(self, slot: int, recorded: Recorded) -> Thread:
        messages = [
            Message(ordinal=ordinal, at=at, from_page=from_page, text=text)
            for ordinal, (from_page, text, at) in enumerate(recorded.messages)
        ]
        person_id = ids.person_id(self.page_id, slot)
        contact = Person(id=person_id, name=recorded.customer, username=f"user.{person_id[-9:]}")
        return Thread(slot=slot, folder="inbox", contact=contact, messages=messages, dataset_id=recorded.id)

    def _contact(self, slot: int) -> Person:
        return make_person(self._random(slot, "person"), ids.person_id(self.page_id, slot))

    def _random(self, *names: object) -> Random:
        return Random(ids.digest(self._key, self.number, *names))


class World:
    """Everything there is."""

    def __init__(self, config: SandboxConfig) -> None:
        dataset = self._load(config)
        self.notes = dataset.notes if dataset else ()
        self.key = _world_key(config, dataset)
        self.user_id = str(10**15 + ids.number(self.key, "user", below=10**14))
        shares = _shares(dataset, config.pages) if dataset else [None] * config.pages
        self.pages = [PageWorld(config, self.key, number, share) for number, share in enumerate(shares)]
        self._by_id = {page.page_id: page for page in self.pages}
        self._by_instagram = {page.instagram_id: page for page in self.pages}

    def page(self, object_id: str) -> PageWorld | None:
        """The Page with this id."""
        return self._by_id.get(object_id)

    def page_of_instagram(self, object_id: str) -> PageWorld | None:
        """The Page that this Instagram account is linked to."""
        return self._by_instagram.get(object_id)

    def conversation_id_of(self, dataset_id: str) -> str:
        """Graph's id of a conversation of the data set. Raises KeyError.

        Another process with the same configuration finds the same.
        """
        for page in self.pages:
            try:
                return ids.thread_id(page.slot_of_dataset(dataset_id), page.number)
            except KeyError:
                continue
        raise KeyError(dataset_id)

    @staticmethod
    def _load(config: SandboxConfig) -> Dataset | None:
        if config.dataset is None:
            return None
        return load_dataset(config.dataset, limit=config.conversations, anchor=ANCHOR)


def _world_key(config: SandboxConfig, dataset: Dataset | None) -> str:
    """What two processes must share to be the same world."""
    if dataset is None:
        return (
            f"{config.seed}:{config.conversations or _DEFAULT_CONVERSATIONS}:{config.messages}:{config.pages}"
        )
    content = ids.digest(
        *(f"{each.id}{each.customer}{each.messages}" for each in dataset.conversations)
    ).hex()
    return f"{config.seed}:{content}:{config.pages}"


def _shares(dataset: Dataset, pages: int) -> list[tuple[Recorded, ...]]:
    """The data set, dealt out to so many Pages."""
    return [dataset.conversations[number::pages] for number in range(pages)]
