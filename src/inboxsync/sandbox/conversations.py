"""`/{page}/conversations`: the list of conversations (graph-facts 1.3)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from inboxsync.sandbox import ids
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import Faults, SandboxConfig
from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.folders import Folder
from inboxsync.sandbox.lists import ConversationList, Slice, next_url, read_limit
from inboxsync.sandbox.mailbox import INBOX
from inboxsync.sandbox.nodes import THREAD_DEFAULTS, View
from inboxsync.sandbox.refusal import Refusal, bad_cursor, too_much
from inboxsync.sandbox.render import Renderer, to_text
from inboxsync.sandbox.selection import check_fields
from inboxsync.sandbox.threads import Thread
from inboxsync.sandbox.versions import HAS_TIME_WINDOWS
from inboxsync.sandbox.world import PageWorld

_DEFAULT_NESTED = 25
_LONGEST_TIME = 20


@dataclass(slots=True)
class _Trouble:
    """What goes wrong with one list answer."""

    is_empty: bool
    is_short: bool
    repeats_cursor: bool


class Conversations:
    """Answers the list. `faults` may be changed while it runs."""

    def __init__(self, config: SandboxConfig, renderer: Renderer) -> None:
        self._config = config
        self._renderer = renderer
        self._calls = 0
        self._faults = config.faults
        self.healed: set[str] = set()

    @property
    def faults(self) -> Faults:
        """What goes wrong."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._renderer.change(faults)

    def answer(self, call: Call, view: View) -> str:
        """One part of the list. Raises Refusal."""
        self._refuse_whole(view)
        fields = call.fields(*THREAD_DEFAULTS)
        check_fields(fields, "UnifiedThread")
        limit = read_limit(call.parameters.get("limit"), self._config)
        self._refuse_weight(fields, limit)
        folder = self._folder(call, view)
        self._calls += 1
        part = self._part(call, view, folder, limit)
        if any(field.name == "messages" for field in fields):
            self.refuse_poisoned(view, part.entries, is_list=True)
        text = self._render(call, view, fields, part, limit)
        self._write_meanwhile(view, folder)
        return text

    def refuse_poisoned(self, view: View, threads: list[Thread], *, is_list: bool = False) -> None:
        """Every answer with a poisoned conversation fails, until it is healed; a list with more of them."""
        poisoned = self.poisoned(view)
        if is_list:
            poisoned |= self.poisoned_in_lists(view)
        if any(view.thread_id(thread) in poisoned for thread in threads):
            raise Refusal(1, "An unknown error occurred", subcode=99, status=500)

    def poisoned(self, view: View) -> set[str]:
        """The ids of those that fail in lists and by their own node."""
        return self._ids(view, self._poisoned_slots(view))

    def poisoned_in_lists(self, view: View) -> set[str]:
        """The ids of those that fail in lists only."""
        # By the base slots: conversations that begin later must not change which are poisoned.
        count, most = view.mailbox.inbox.count, self.faults.list_poison
        taken = set(self._poisoned_slots(view))
        slots = []
        for place in range(most):
            slot = (2 * place + 1) * count // (2 * most)
            while slot in taken and slot < count:
                slot += 1
            taken.add(slot)
            slots.append(slot)
        return self._ids(view, [*slots, *self.faults.list_poison_slots])

    def _poisoned_slots(self, view: View) -> list[int]:
        count, most = view.mailbox.inbox.count, self.faults.poison
        slots = [(place + 1) * count // (most + 1) for place in range(most)]
        return [*slots, *self.faults.poison_slots]

    def _ids(self, view: View, slots: list[int]) -> set[str]:
        threads = [thread for slot in slots if (thread := view.mailbox.thread(slot)) is not None]
        return {view.thread_id(thread) for thread in threads} - self.healed

    def heal(self, pages: Iterable[PageWorld]) -> None:
        """All that are poisoned now are healed."""
        for page in pages:
            for is_instagram in (False, True):
                view = View(page, is_instagram)
                self.healed |= self.poisoned(view) | self.poisoned_in_lists(view)

    def _refuse_whole(self, view: View) -> None:
        if self._config.high_volume:
            # Which error Meta answers with here is not confirmed.
            raise Refusal(1, "An unknown error occurred", subcode=99, status=500)
        if self._config.standard_access and view.is_instagram:
            raise Refusal(
                -2,
                "Timeout",
                subcode=2534084,
                kind="IGApiException",
                user_message="There are too many conversations with users who do not have a role on app.",
            )

    def _refuse_weight(self, fields: tuple[Field, ...], limit: int) -> None:
        most = self.faults.weight_limit
        if most is None:
            return
        nested = next((field for field in fields if field.name == "messages"), None)
        asked = nested.arguments.get("limit", "") if nested else "0"
        if limit * max(1, int(asked) if asked.isdecimal() else _DEFAULT_NESTED) > most:
            raise too_much()

    def _folder(self, call: Call, view: View) -> Folder:
        """The folder asked for, or the inbox; an unknown one as the switch says. Raises Refusal."""
        folders = view.mailbox.folders
        name = (call.parameters.get("folder") or INBOX).lower()
        if self._config.unknown_folders == "ignore":
            name = INBOX
        elif self._config.unknown_folders == "refuse" and name not in folders:
            raise Refusal(100, f"(#100) Param folder must be one of {{{', '.join(folders)}}}")
        if self._config.standard_access or name not in folders:
            return Folder(name, 0, 0, lambda _slot: 0)
        return folders[name]

    def _part(self, call: Call, view: View, folder: Folder, limit: int) -> Slice:
        after = call.parameters.get("after") or None
        if after is not None and self.faults.refuse_cursors:
            raise bad_cursor()
        name = f"{call.epoch}:{view.page.page_id}:{view.is_instagram}:{folder.name}"
        windows = self._config.time_windows and call.version >= HAS_TIME_WINDOWS
        conversations = ConversationList(
            self._config,
            view.mailbox,
            folder,
            name,
            earlier_ms=_milliseconds(call, "updated_before_ms") if windows else None,
            later_ms=_milliseconds(call, "updated_after_ms") if windows else None,
            deepest=self.faults.deepest_cursor,
        )
        user = call.parameters.get("user_id")
        if user is not None:
            return conversations.only(view.mailbox.thread_of_person(user))
        trouble = self._trouble()
        part = conversations.slice(
            limit=max(1, limit // 3) if trouble.is_short else limit,
            after=after,
            before=call.parameters.get("before") or None,
        )
        if trouble.is_empty and after is not None and part.has_next:
            # Another cursor to the same place: nothing was served, nothing is skipped.
            same_place = conversations.same_place(after, nonce=self._calls)
            return Slice([], after, same_place, has_next=True, has_previous=True)
        if self.faults.cursor_cycle and part.entries and not part.has_next:
            return replace(part, after=conversations.place_after(self.faults.cursor_cycle), has_next=True)
        if self.faults.endless and not part.has_next:
            return self._without_end(conversations, part, after)
        if trouble.repeats_cursor and after is not None and part.has_next:
            return Slice(part.entries, part.before, after, has_next=True, has_previous=True)
        return part

    def _without_end(self, conversations: ConversationList, part: Slice, after: str | None) -> Slice:
        """A list whose last answers are empty and have a `next`, for ever (graph-facts 1.8)."""
        end = part.after or (conversations.same_place(after, nonce=self._calls) if after else None)
        return replace(part, before=part.before or after, after=end, has_next=end is not None)

    def _render(self, call: Call, view: View, fields: tuple[Field, ...], part: Slice, limit: int) -> str:
        padding = " " * self.faults.padding_bytes
        texts = [padding + self._renderer.thread_text(call, view, thread, fields) for thread in part.entries]
        base = f"{call.root}{view.page.page_id}/conversations"
        paging = part.paging(
            next_url(base, call, call.parameters, limit=limit, after=part.after),
            next_url(base, call, call.parameters, limit=limit, before=part.before),
        )
        tail = f',"paging":{to_text(paging)}' if paging else ""
        return f'{{"data":[{",".join(texts)}]{tail}}}'

    def _trouble(self) -> _Trouble:
        random = Random(ids.digest(self._config.seed, "list", self._calls))
        return _Trouble(
            is_empty=random.random() < self.faults.empty_batch,
            is_short=random.random() < self.faults.short_batch,
            repeats_cursor=random.random() < self.faults.repeat_cursor,
        )

    def _write_meanwhile(self, view: View, listed: Folder) -> None:
        """People write while a list is scanned: in it, or in the inbox if it was empty."""
        folder = listed if listed.count else view.mailbox.inbox
        if _is_turn(self._config.write_every, self._calls):
            for person in range(self._config.write_people):
                below = max(1, folder.count)
                chosen = ids.number(self._config.seed, "writer", self._calls, person, below=below)
                self._write(view, folder.first_slot + chosen)
        if _is_turn(self._config.write_new_every, self._calls):
            self._write(view, view.mailbox.begin(folder.name))

    def _write(self, view: View, slot: int) -> None:
        if view.mailbox.thread(slot) is None:
            return  # it was deleted meanwhile
        for _ in range(self._config.write_burst):
            view.mailbox.write(slot, f"written during call {self._calls}")


def _is_turn(every: int, calls: int) -> bool:
    return every > 0 and calls % every == 0


def _milliseconds(call: Call, name: str) -> int | None:
    """A bound of a time window, an unsigned int. Raises Refusal."""
    text = call.parameters.get(name)
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii() and len(text) < _LONGEST_TIME):
        raise Refusal(100, f"(#100) Param {name} must be a non-negative integer")
    return int(text)
