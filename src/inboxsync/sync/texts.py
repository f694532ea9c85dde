"""What a text says: its words for the search, and the contact details in it.

To read texts takes longest of all that a derive pass does, and needs no database. So they are read ahead,
while others may write, and the transaction finds here what it needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from inboxsync.store.derived import Detail, Unindexed
from inboxsync.store.search import terms_of
from inboxsync.sync.details import details_in


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts that were read, by what they say, not by whose they are; others are read when they are asked for.

    `region` is the country of phone numbers that are written without one.
    """

    region: str | None = None
    _terms: dict[str, str] = field(default_factory=dict)
    _details: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def read(self, messages: Iterable[Unindexed]) -> None:
        """Read these messages ahead."""
        for each in messages:
            self.terms(each.text)
            self._details_in(each)

    def terms(self, text: str | None) -> str:
        """As `terms_of`."""
        if not text:
            return ""
        terms = self._terms.get(text)
        if terms is None:
            terms = self._terms[text] = terms_of(text)
        return terms

    def details(self, messages: Iterable[Unindexed]) -> list[Detail]:
        """The contact details in what contacts wrote among these messages."""
        return [
            Detail(
                page_id=each.page_id,
                conversation_id=each.conversation_id,
                message_id=each.message_id,
                sent_at=each.sent_at,
                kind=kind,
                value=value,
            )
            for each in messages
            for kind, value in self._details_in(each)
        ]

    def in_region(self, region: str | None) -> "Texts":
        """The same with another region."""
        return self if region == self.region else Texts(region, self._terms)

    def _details_in(self, message: Unindexed) -> tuple[tuple[str, str], ...]:
        text = message.text
        if not text or message.is_from_page:
            return ()
        details = self._details.get(text)
        if details is None:
            details = self._details[text] = tuple(details_in(text, region=self.region))
        return details
