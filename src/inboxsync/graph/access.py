"""Whose inbox is read, and the token that opens it."""

import re
from dataclasses import dataclass, field

from inboxsync.model import Platform

# Graph quotes a malformed token in its refusal. User and Page tokens start with EAA, Instagram's with IG.
_TOKEN_LIKE = re.compile(r"\b(?:EAA|IG)[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A Page's inbox on one platform, with the token that may read it.

    The token is in no `repr`. `account_id` is the id under which the Page itself writes.
    """

    page_id: str
    platform: Platform
    account_id: str
    token: str = field(repr=False)

    @property
    def quota(self) -> str:
        """The object whose allowance a call spends: the Page, or the Instagram account (graph-facts 2)."""
        return self.account_id if self.is_instagram else self.page_id

    @property
    def is_instagram(self) -> bool:
        """Whether this is the inbox of an Instagram account."""
        return self.platform is Platform.INSTAGRAM

    @property
    def own_ids(self) -> frozenset[str]:
        """Ids that mean the Page itself among participants and senders."""
        return frozenset({self.page_id, self.account_id})

    def redact(self, text: str) -> str:
        """`text` without this token, nor anything that looks like one."""
        if self.token:
            text = text.replace(self.token, "[token]")
        return _TOKEN_LIKE.sub("[token]", text)
