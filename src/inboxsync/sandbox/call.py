"""One Graph call, as it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from inboxsync.sandbox.fields import Field, defaults, parse_fields
from inboxsync.sandbox.refusal import Refusal
from inboxsync.sandbox.world import PageWorld


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Method, path below the version, parameters, and the token's owner.

    `root` is the caller's own address with the version, for `next` URLs; `version`
    is the one that answers. `page` is the token's Page; None for the user's or the app's token.
    Cursors of another `epoch` are refused.
    """

    method: str
    path: str
    parameters: Mapping[str, str]
    token: str
    root: str
    version: tuple[int, int]
    is_legacy: bool = False
    page: PageWorld | None = None
    number: int = 0
    epoch: int = 0
    spent_on: set[tuple[str, str]] = field(default_factory=set)

    @property
    def is_instagram(self) -> bool:
        """Which platform is asked for, in upper or lower case; Messenger by default. Raises Refusal."""
        platform = self.parameters.get("platform", "messenger").lower()
        if platform not in ("messenger", "instagram"):
            raise Refusal(100, "(#100) Param platform must be one of {INSTAGRAM, MESSENGER}")
        return platform == "instagram"

    def fields(self, *names: str) -> tuple[Field, ...]:
        """The fields asked for, or these. Raises Refusal for bad syntax."""
        text = self.parameters.get("fields", "").strip()
        return parse_fields(text) if text else defaults(names)

    def at(self, path: str, parameters: Mapping[str, str] | None = None) -> "Call":
        """A call of another path by the same caller."""
        return replace(self, path=path, parameters=self.parameters if parameters is None else parameters)
