"""A Page's conversations on one platform, in their folders.

A conversation is a function of the world's key, the Page and its slot, made when it is
asked for: a million need no memory. What is changed after the start is kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from random import Random

from inboxsync.sandbox import ids
from inboxsync.sandbox.dataset import Recorded
from inboxsync.sandbox.folders import Folder
from inboxsync.sandbox.people import Person, make_person
from inboxsync.sandbox.threads import Message, Thread, make_thread

INBOX = "inbox"
_SPAN_SECONDS = 3 * 365 * 86_400
# As many as `render` keeps: what is rendered once need not be made again.
_KEPT_THREADS = 6_000
_LONGEST_ID = 20
# The slots of other folders are far above the inbox's, those of new conversations above all others.
_FOLDER_SLOTS = 10**8
_NEW_SLOTS = 9 * 10**8


class Mailbox:
    """`sizes`: how many conversations each folder has at the start; `recorded` are the inbox's own."""

    def __init__(
        self,
        *,
        key: str,
        page_number: int,
        page_id: str,
        is_instagram: bool,
        sizes: Mapping[str, int],
        messages: tuple[int, int],
        recorded: Sequence[Recorded] | None,
        newest_at: int,
    ) -> None:
        self._key = key
        self._page_number = page_number
        self._page_id = page_id
        self._is_instagram = is_instagram
        self._messages = messages
        self._recorded = recorded
        self._newest_at = newest_at
        self._kept: OrderedDict[int, Thread] = OrderedDict()
        self._changed: dict[int, Thread] = {}
        self._deleted: set[int] = set()
        self._begun = 0
        self.folders = {
            name: Folder(name, place * _FOLDER_SLOTS, count, self._base_time(place * _FOLDER_SLOTS, count))
            for place, (name, count) in enumerate(sizes.items())
        }

    @property
    def inbox(self) -> Folder:
        """The list if no folder is asked for."""
        return self.folders[INBOX]

    def thread(self, slot: int) -> Thread | None:
        """The conversation in this slot as it is now; None if there is none, or no longer."""
        if slot in self._deleted:
            return None
        if slot in self._changed:
            return self._changed[slot]
        if slot in self._kept:
            self._kept.move_to_end(slot)
            return self._kept[slot]
        folder = next((each for each in self.folders.values() if each.is_base(slot)), None)
        if folder is None:
            return None
        self._kept[slot] = made = self._make(slot, folder)
        if len(self._kept) > _KEPT_THREADS:
            self._kept.popitem(last=False)
        return made

    def folder_of(self, thread: Thread) -> Folder:
        """The folder that a conversation is in."""
        return self.folders[thread.folder]

    def thread_of_person(self, person_id: str) -> Thread | None:
        """The conversation with this contact; None if there is none."""
        slot = self._slot_of_person(person_id)
        thread = self.thread(slot) if slot is not None else None
        return thread if thread is not None and thread.contact.id == person_id else None

    def person(self, person_id: str) -> Person | None:
        """The contact with this id; None if there is none."""
        thread = self.thread_of_person(person_id)
        return thread.contact if thread is not None else None

    def write(self, slot: int, text: str, *, from_page: bool = False, at: int | None = None) -> Message:
        """Write a message now, in a conversation. Raises KeyError."""
        thread = self._existing(slot)
        now = int(time.time()) if at is None else at
        message = Message(
            ordinal=thread.next_ordinal, at=max(now, thread.updated_at), from_page=from_page, text=text
        )
        self._changed[slot] = thread.with_message(message)
        self.folder_of(thread).move(slot, message.at)
        return message

    def begin(self, folder: str = INBOX) -> int:
        """A conversation with a new person; its slot. It is in the list once it has a message."""
        slot = _NEW_SLOTS + self._begun
        self._begun += 1
        self._changed[slot] = Thread(slot=slot, folder=folder, contact=self._contact(slot))
        return slot

    @property
    def newest_slot(self) -> int:
        """The slot of the conversation that was begun last."""
        return _NEW_SLOTS + self._begun - 1

    def move(self, slot: int, folder: str) -> None:
        """Move it into another folder, to the place that its time gives it. Raises KeyError."""
        thread = self._existing(slot)
        target = self.folders[folder]
        self.folder_of(thread).remove(slot)
        self._changed[slot] = thread.in_folder(folder)
        target.move(slot, thread.updated_at)

    def delete(self, slot: int) -> None:
        """Delete it. Raises KeyError."""
        self.folder_of(self._existing(slot)).remove(slot)
        self._changed.pop(slot, None)
        self._kept.pop(slot, None)
        self._deleted.add(slot)

    def unsend(self, slot: int, ordinal: int, *, leaves_mark: bool = False) -> None:
        """One message is gone, or its content is; the conversation keeps its time. Raises KeyError."""
        thread = self._with_message(slot, ordinal)
        if leaves_mark:
            self._changed[slot] = thread.with_changed(ordinal, text="", kind="text", is_deleted=True)
        else:
            self._changed[slot] = thread.without_message(ordinal)

    def edit(self, slot: int, ordinal: int, text: str) -> None:
        """A message has another text; the conversation keeps its time. Raises KeyError."""
        thread = self._with_message(slot, ordinal)
        self._changed[slot] = thread.with_changed(ordinal, text=text, edited_at=int(time.time()))

    def react(self, slot: int, ordinal: int, reaction: str | None) -> None:
        """A message has another reaction; the conversation keeps its time. Raises KeyError."""
        self._changed[slot] = self._with_message(slot, ordinal).with_changed(ordinal, reaction=reaction)

    def _existing(self, slot: int) -> Thread:
        thread = self.thread(slot)
        if thread is None:
            raise KeyError(slot)
        return thread

    def _with_message(self, slot: int, ordinal: int) -> Thread:
        thread = self._existing(slot)
        if thread.message(ordinal) is None:
            raise KeyError(ordinal)
        return thread

    def _base_time(self, first: int, count: int) -> Callable[[int], int]:
        recorded = self._recorded
        if recorded is not None and first == 0:
            return lambda slot: recorded[slot].ends_at
        step = max(2, _SPAN_SECONDS // max(count, 1))

        def at(slot: int) -> int:
            # Anywhere in its own step: never before the one after it.
            jitter = (slot * 2_654_435_761 + self._page_number) % step
            return self._newest_at - (slot - first) * step - jitter

        return at

    def _make(self, slot: int, folder: Folder) -> Thread:
        if self._recorded is not None and folder is self.inbox:
            return self._replay(slot, self._recorded[slot])
        return make_thread(
            self._random(slot),
            slot=slot,
            folder=folder.name,
            contact=self._contact(slot),
            ends_at=folder.base_time(slot),
            messages=self._messages,
        )

    def _replay(self, slot: int, recorded: Recorded) -> Thread:
        messages = [
            Message(ordinal=ordinal, at=at, from_page=from_page, text=text)
            for ordinal, (from_page, text, at) in enumerate(recorded.messages)
        ]
        person_id = self._person_id(slot)
        contact = Person(id=person_id, name=recorded.customer, username=f"user.{person_id[-9:]}")
        return Thread(slot=slot, folder=INBOX, contact=contact, messages=messages, dataset_id=recorded.id)

    def _slot_of_person(self, person_id: str) -> int | None:
        if not (person_id.isdecimal() and person_id.isascii() and len(person_id) <= _LONGEST_ID):
            return None
        return int(person_id) - int(self._person_id(0))

    def _contact(self, slot: int) -> Person:
        return make_person(self._random(slot, "person"), self._person_id(slot))

    def _person_id(self, slot: int) -> str:
        return ids.person_id(self._page_id, slot, is_instagram=self._is_instagram)

    def _random(self, *names: object) -> Random:
        return Random(ids.digest(self._key, self._page_number, *names))
