"""The sandbox's world: Pages, each with its conversations on both platforms."""

from inboxsync.sandbox import ids
from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.dataset import Dataset, Recorded, load_dataset
from inboxsync.sandbox.folders import Folder
from inboxsync.sandbox.mailbox import INBOX, Mailbox
from inboxsync.sandbox.threads import Message, Thread

_DEFAULT_CONVERSATIONS = 10_000
# What a Page has beside its inbox, empty unless asked for otherwise (graph-facts 1.3).
_OTHER_FOLDERS = ("other", "page_done", "spam")
_PAGE_NAMES = ("Fjord & Wool", "Café Lumière", "サンドボックス商店", "Bike Repair Oslo", "Tienda del Sol")


class PageWorld:
    """One Page. The platform is Messenger by default."""

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
        self.sticker_attachments = config.sticker_attachments
        # Newest first, as the list has them; a tie keeps the file's order.
        newest = sorted(recorded, key=lambda each: -each.ends_at) if recorded is not None else None
        self._slot_of = {each.id: slot for slot, each in enumerate(newest or ())}
        in_inbox = (config.conversations or _DEFAULT_CONVERSATIONS) if newest is None else len(newest)
        sizes = {INBOX: in_inbox} | dict.fromkeys(_OTHER_FOLDERS, 0)
        for name, count in config.folders.items():
            if name.lower() != INBOX:
                sizes[name.lower()] = count
        self.messenger, self.instagram = (
            Mailbox(
                key=key,
                page_number=number,
                page_id=self.page_id,
                is_instagram=is_instagram,
                sizes=sizes,
                messages=config.messages,
                recorded=newest,
                newest_at=config.newest_at,
            )
            for is_instagram in (False, True)
        )

    @property
    def inbox(self) -> Folder:
        """The list if no folder is asked for."""
        return self.messenger.inbox

    @property
    def newest_slot(self) -> int:
        """The slot of the conversation that was begun last."""
        return self.messenger.newest_slot

    def thread(self, slot: int) -> Thread | None:
        """The conversation in this slot as it is now; None if there is none."""
        return self.messenger.thread(slot)

    def write(
        self, slot: int | None, text: str, *, from_page: bool = False, at: int | None = None
    ) -> Message:
        """Write a message now, in a conversation or, with slot None, in a new one. Raises KeyError."""
        slot = self.messenger.begin() if slot is None else slot
        return self.messenger.write(slot, text, from_page=from_page, at=at)

    def slot_of_dataset(self, dataset_id: str) -> int:
        """The slot of a conversation of the data set. Raises KeyError."""
        return self._slot_of[dataset_id]


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
        return load_dataset(config.dataset, limit=config.conversations, anchor=config.newest_at)


def _world_key(config: SandboxConfig, dataset: Dataset | None) -> str:
    """What two processes must share to be the same world."""
    folders = "".join(f":{name}={count}" for name, count in sorted(config.folders.items()))
    if dataset is None:
        count = config.conversations or _DEFAULT_CONVERSATIONS
        return f"{config.seed}:{count}:{config.messages}:{config.pages}{folders}"
    content = ids.digest(
        *(f"{each.id}{each.customer}{each.messages}" for each in dataset.conversations)
    ).hex()
    return f"{config.seed}:{content}:{config.pages}{folders}"


def _shares(dataset: Dataset, pages: int) -> list[tuple[Recorded, ...]]:
    """The data set, shared among so many Pages."""
    return [dataset.conversations[number::pages] for number in range(pages)]
