"""Whose a token is, and whether it is still valid."""

import hashlib
import hmac
import time
from collections.abc import Mapping

from inboxsync.sandbox import ids
from inboxsync.sandbox.refusal import Refusal, dead_token
from inboxsync.sandbox.world import PageWorld, World

_LONG_LIVED_SECONDS = 5_183_944
SCOPES = (
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
    "pages_read_engagement",
    "instagram_basic",
    "instagram_manage_messages",
)


class Tokens:
    """Every token of the sandbox. `user` reaches all Pages; each Page has its own."""

    def __init__(self, world: World, *, days: int | None = None) -> None:
        self._world = world
        self._days = days
        self.deaths = 0
        self.app_id = str(10**15 + ids.number(world.key, "app", below=10**14))
        self.app_secret = ids.digest(world.key, "secret").hex()[:32]
        self.app_token = f"{self.app_id}|{self.app_secret}"
        self.user = ids.token(world.key, "user")
        self._page_of = {page.token: page for page in world.pages}
        self._dead: dict[str, int] = {}

    def page(self, token: str) -> PageWorld | None:
        """The token's Page; None for the user's and the app's token. Raises Refusal 190."""
        if token in self._dead:
            raise dead_token(self._dead[token])
        if token in (self.user, self.app_token):
            return None
        if token not in self._page_of:
            raise dead_token()
        return self._page_of[token]

    def is_app(self, token: str) -> bool:
        """Whether it is the app's own."""
        return token == self.app_token

    def kill(self, token: str, subcode: int) -> None:
        """From now on it is refused for this reason."""
        self._dead[token] = subcode
        self.deaths += 1

    def kill_all(self, subcode: int) -> None:
        """Every Page token dies."""
        for token in self._page_of:
            self._dead.setdefault(token, subcode)
        self.deaths += 1

    def _ends_at(self) -> int:
        return 0 if self._days is None else int(time.time()) + self._days * 86_400

    def mint(self, page: PageWorld) -> str:
        """A new token for a Page; old ones stay as they are."""
        page.token = ids.token(self._world.key, "page", page.number, len(self._page_of))
        self._page_of[page.token] = page
        return page.token

    def check_proof(self, token: str, proof: str | None) -> None:
        """Refuse a wrong or missing `appsecret_proof` (its exact wording is our assumption)."""
        right = hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if proof is None:
            raise Refusal(
                100,
                "API calls from the server require an appsecret_proof argument",
                kind="GraphMethodException",
            )
        if not hmac.compare_digest(proof, right):
            raise Refusal(
                100, "Invalid appsecret_proof provided in the API argument", kind="GraphMethodException"
            )

    def describe(self, token: str | None) -> dict[str, object]:
        """What `debug_token` reports of a token; a dead one is described inside a normal answer."""
        if not token:
            raise Refusal(100, "(#100) The parameter input_token is required")
        base: dict[str, object] = {"app_id": self.app_id, "application": "inboxsync sandbox"}
        if token in self._dead or (token not in self._page_of and token not in (self.user, self.app_token)):
            refusal = dead_token(self._dead.get(token))
            error = {"code": 190, "message": refusal.message} | (
                {"subcode": refusal.subcode} if refusal.subcode else {}
            )
            base |= {"error": error, "is_valid": False}
            if token not in self._dead:
                return base | {"scopes": []}
            return base | {"expires_at": 0, "scopes": list(SCOPES), "user_id": self._world.user_id}
        if self.is_app(token):
            return base | {"type": "APP", "is_valid": True}
        page = self._page_of.get(token)
        found = base | {
            "type": "PAGE" if page else "USER",
            "data_access_expires_at": 0,
            "expires_at": self._ends_at() if page else 0,
            "is_valid": True,
            "scopes": list(SCOPES),
            "granular_scopes": [{"scope": scope} for scope in SCOPES],
            "user_id": self._world.user_id,
        }
        return found | {"profile_id": page.page_id} if page else found

    def grant(self, parameters: Mapping[str, str]) -> dict[str, object]:
        """The app's token, or a long-lived one for a short one: the same, here. Raises Refusal."""
        if parameters.get("client_id") != self.app_id:
            raise Refusal(
                101, "Error validating application. Cannot get application info due to a system error."
            )
        if parameters.get("client_secret") != self.app_secret:
            raise Refusal(1, "Error validating client secret.")
        match parameters.get("grant_type"):
            case "client_credentials":
                return {"access_token": self.app_token, "token_type": "bearer"}
            case "fb_exchange_token" if token := parameters.get("fb_exchange_token"):
                self.page(token)
                return {"access_token": token, "token_type": "bearer", "expires_in": _LONG_LIVED_SECONDS}
            case "fb_exchange_token":
                raise Refusal(100, "(#100) The parameter fb_exchange_token is required")
        # Without a grant, Graph takes it for the second half of a login.
        raise Refusal(191, "Missing redirect_uri parameter.")
