"""The endpoints: from a call to JSON text, or a refusal."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from inboxsync.sandbox import ids
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.cursors import index_cursor, read_index
from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.limits import Limits, usage_headers
from inboxsync.sandbox.lists import Slice, next_url, read_limit
from inboxsync.sandbox.nodes import MESSAGE_DEFAULTS, THREAD_DEFAULTS, View
from inboxsync.sandbox.people import profile
from inboxsync.sandbox.refusal import (
    Refusal,
    no_user,
    page_token_needed,
    refused_fields,
    unknown_field,
    unknown_object,
    unreadable_message,
    unsupported,
)
from inboxsync.sandbox.removed import refuse_removed
from inboxsync.sandbox.render import Renderer, to_text
from inboxsync.sandbox.selection import check_fields, narrow
from inboxsync.sandbox.threads import Thread
from inboxsync.sandbox.tokens import SCOPES, Tokens
from inboxsync.sandbox.world import PageWorld, World

_TASKS = ["ANALYZE", "ADVERTISE", "MESSAGING", "MODERATE", "CREATE_CONTENT", "MANAGE"]
_CATEGORY = {"id": "2265", "name": "Shopping & Retail"}
_MOST_IDS = 50
Json = dict[str, Any]


class Graph:
    """Answers single calls; `batch` and `http` wrap them."""

    def __init__(self, config: SandboxConfig, world: World, tokens: Tokens) -> None:
        self._world = world
        self._tokens = tokens
        self.limits = Limits(config)
        self._config = config
        self._renderer = Renderer(config)
        self.conversations = Conversations(config, self._renderer)
        self.now = time.monotonic  # what the limits count by
        self._subscribed: dict[str, list[str]] = {}

    def answer(self, call: Call) -> str:
        """The body of the answer. Raises Refusal."""
        self._refuse_app(call)
        if not self._config.legacy:
            refuse_removed(call)
        self._refuse_fields(call)
        may_write = call.path.rstrip("/").endswith("/subscribed_apps") and call.method in ("POST", "DELETE")
        if call.method != "GET" and not may_write:
            raise unsupported(call.method)
        match call.path.strip("/").split("/"):
            case [""] if "ids" in call.parameters:
                return self._by_ids(call)
            case ["debug_token"]:
                return to_text({"data": self._tokens.describe(call.parameters.get("input_token"))})
            case ["oauth", "access_token"]:
                return to_text(self._tokens.grant(call.parameters))
            case ["me", *rest]:
                return self._me(call, rest)
            case [object_id]:
                return self._node(call, object_id)
            case [object_id, edge]:
                return self._edge(call, object_id, edge)
        raise Refusal(2500, "Unknown path components: /" + call.path.strip("/"))

    def headers(self, call: Call) -> dict[str, str]:
        """Usage headers of the objects that this call counted against."""
        usage_by_object: dict[str, list[Json]] = {}
        now = self.now()
        for object_id, kind in sorted(call.spent_on):
            usage = self.limits.usage(object_id, kind, users=self._users(object_id), now=now)
            if usage is None:
                continue
            usage_by_object.setdefault(object_id, []).append(usage)
            account = self._world.page_of_instagram(object_id)
            if account is not None:
                # Two keys have been seen; that the second is the Page is our assumption (graph-facts 7).
                usage_by_object.setdefault(account.page_id, []).append(usage)
        return usage_headers(usage_by_object, app_percent=self._config.app_usage_percent)

    def _refuse_app(self, call: Call) -> None:
        """The whole app has used its quota."""
        if self._config.app_usage_percent >= 100 and call.page is not None:
            raise Refusal(4, "(#4) Application request limit reached", status=403, is_transient=True)

    def _refuse_fields(self, call: Call) -> None:
        """Fields that a fault takes away."""
        faults = self.conversations.faults
        if not faults.refuse_fields:
            return
        asked = [name for name in _names(call.fields()) if name in faults.refuse_fields]
        if asked:
            node = "UnifiedThread" if call.path.rstrip("/").endswith("/conversations") else "User"
            raise refused_fields(faults, asked, node, call.parameters.get("locale", ""))

    def is_page(self, path: str) -> bool:
        """Whether this path is a Page's own node."""
        return path.strip("/") == "me" or self._world.page(path.strip("/")) is not None

    def _spend(self, call: Call, object_id: str, kind: str) -> None:
        call.spent_on.add((object_id, kind))
        self.limits.spend(object_id, kind, users=self._users(object_id), now=self.now())

    def _users(self, object_id: str) -> int:
        page = self._world.page(object_id) or self._world.page_of_instagram(object_id)
        return len(page.inbox) if page else 1

    def _me(self, call: Call, rest: list[str]) -> str:
        if call.page is not None:
            return self.answer(call.at("/".join([call.page.page_id, *rest])))
        if self._tokens.is_app(call.token):
            raise no_user()
        match rest:
            case []:
                return to_text(
                    self._object(call, "User", {"id": self._world.user_id, "name": "Sandbox Owner"})
                )
            case ["accounts"]:
                return self._accounts(call)
            case ["permissions"]:
                return to_text({"data": [{"permission": scope, "status": "granted"} for scope in SCOPES]})
        raise page_token_needed()

    def _accounts(self, call: Call) -> str:
        limit = read_limit(call.parameters.get("limit"), self._config)
        after = call.parameters.get("after")
        start = read_index(after) + 1 if after else 0
        if before := call.parameters.get("before"):
            end = read_index(before)
            start, limit = max(0, end - limit), min(limit, end)
        pages = self._world.pages[start : start + limit]
        fields = call.fields("access_token", "category", "category_list", "name", "id", "tasks")
        data = [self._object(call, "Page", self._page_object(page), fields) for page in pages]
        end = start + len(pages)
        part = Slice(
            data, index_cursor(start), index_cursor(end - 1), end < len(self._world.pages), start > 0
        )
        base = f"{call.root}{self._world.user_id}/accounts"
        body: Json = {"data": data}
        if data:
            body["paging"] = part.paging(
                next_url(base, call, call.parameters, limit=limit, after=part.after),
                next_url(base, call, call.parameters, limit=limit, before=part.before),
            )
        if call.parameters.get("summary", "").lower() in ("1", "true", "total_count"):
            body["summary"] = {"total_count": len(self._world.pages)}
        return to_text(body)

    def _node(self, call: Call, object_id: str) -> str:
        if object_id == self._world.user_id:
            return self._me(call, [])
        page = self._world.page(object_id)
        if page is not None:
            self._may_see(call, page, object_id)
            self._spend(call, page.page_id, "pages")
            own = self._page_object(page)
            if self._tokens.is_app(call.token):
                del own["access_token"], own["tasks"]
            return to_text(self._object(call, "Page", own, call.fields("name", "id")))
        account = self._world.page_of_instagram(object_id)
        if account is not None:
            self._may_see(call, account, object_id)
            self._spend(call, account.instagram_id, "instagram")
            account_fields = {
                "id": account.instagram_id,
                "username": f"business.{account.number}",
                "name": account.name,
            }
            return to_text(self._object(call, "IGUser", account_fields, call.fields("id")))
        return self._inbox_node(call, object_id)

    def _inbox_node(self, call: Call, object_id: str) -> str:
        """A conversation, a message or a person, by the shape of the id."""
        view, thread, ordinal = self._find(call, object_id)
        if thread is None:
            return self._profile(call, object_id)
        self._spend(call, *self._inbox_pool(view))
        if ordinal is None:
            self.conversations.refuse_poisoned(view, [thread])
            fields = call.fields(*THREAD_DEFAULTS)
            check_fields(fields, "UnifiedThread")
            return to_text(self._renderer.thread(call, view, thread, fields))
        message = thread.message(ordinal)
        if message is None:
            raise unknown_object(object_id)
        if not view.is_readable(thread, ordinal):
            raise unreadable_message()
        fields = call.fields(*MESSAGE_DEFAULTS)
        check_fields(fields, "Message")
        return to_text(self._renderer.message(call, view, thread, message, fields))

    def _profile(self, call: Call, object_id: str) -> str:
        if call.page is None:
            raise unknown_object(object_id)
        for is_instagram in (False, True):
            view = View(call.page, is_instagram)
            person = view.mailbox.person(object_id)
            if person is not None:
                self._spend(call, *self._inbox_pool(view))
                asked = call.fields("name", "id")
                return to_text(
                    self._object(call, "Profile", profile(person, is_instagram=is_instagram), asked)
                )
        raise unknown_object(object_id)

    def _edge(self, call: Call, object_id: str, edge: str) -> str:
        page = self._world.page(object_id)
        if object_id == self._world.user_id:
            return self._me(call, [edge])
        if page is not None and edge == "conversations":
            self._may_see(call, page, object_id)
            if call.page is None:
                raise page_token_needed()
            view = View(page, call.is_instagram)
            self._spend(call, *self._inbox_pool(view))
            return self.conversations.answer(call, view)
        if page is not None and edge == "subscribed_apps":
            self._may_see(call, page, object_id)
            return self._subscriptions(call, page)
        view, thread, ordinal = self._find(call, object_id)
        if thread is not None and ordinal is None and edge == "messages":
            self._spend(call, *self._inbox_pool(view))
            self.conversations.refuse_poisoned(view, [thread])
            fields = call.fields(*MESSAGE_DEFAULTS)
            check_fields(fields, "Message")
            edge_json = self._renderer.messages_edge(call, view, thread, fields, call.parameters)
            return to_text(edge_json)
        if thread is not None and ordinal is not None and edge == "attachments":
            self._spend(call, *self._inbox_pool(view))
            sent = thread.message(ordinal)
            if sent is None:
                raise unknown_object(object_id)
            if not view.is_readable(thread, ordinal):
                raise unreadable_message()
            asked = (Field(name="attachments", inner=call.fields("id", "mime_type", "name", "size")),)
            check_fields(asked, "Message")
            message = self._renderer.message(call, view, thread, sent, asked)
            # A client that follows an attachment list's `next` finds it empty.
            has_more = "after" not in call.parameters
            return to_text({"data": message.get("attachments", {}).get("data", []) if has_more else []})
        if page is None and thread is None:
            raise unknown_object(object_id)
        raise Refusal(100, f"(#100) Tried accessing nonexisting field ({edge}) on node type (Page)")

    def _find(self, call: Call, object_id: str) -> tuple[View, Thread | None, int | None]:
        """The conversation, and the message in it, with this id; only in the token's own Page."""
        page = call.page or self._world.pages[0]
        nothing = View(page, is_instagram=False), None, None
        place: tuple[int, int, int | None] | None
        is_instagram = False
        if object_id.startswith("t_"):
            found = ids.slot_of_thread(object_id)
            place = (*found, None) if found else None
        elif object_id.startswith("m_"):
            place = ids.place_of_message(object_id)
        else:
            place = ids.place_of_instagram(object_id)
            is_instagram = place is not None
        if place is None or call.page is None or place[0] != page.number:
            return nothing
        view = View(page, is_instagram)
        thread = view.mailbox.thread(place[1])
        ordinal = place[2]
        if thread is None or (ordinal is not None and thread.message(ordinal) is None):
            return nothing
        return view, thread, ordinal

    def _by_ids(self, call: Call) -> str:
        """`?ids=`: an object for each id; each counts as a call, and one wrong id fails all."""
        wanted = [each for each in call.parameters["ids"].split(",") if each]
        if not wanted:
            raise Refusal(100, "(#100) The parameter ids is required")
        if len(wanted) > _MOST_IDS:
            raise Refusal(100, f"(#100) Too many IDs. Maximum: {_MOST_IDS}. Provided: {len(wanted)}.")
        parameters = {name: value for name, value in call.parameters.items() if name != "ids"}
        texts = [f"{to_text(each)}:{self._node(call.at(each, parameters), each)}" for each in wanted]
        return "{" + ",".join(texts) + "}"

    def _subscriptions(self, call: Call, page: PageWorld) -> str:
        self._spend(call, page.page_id, "pages")
        if call.method == "POST":
            self._subscribed[page.page_id] = _subscribed_fields(call)
            return to_text({"success": True})
        if call.method == "DELETE":
            self._subscribed.pop(page.page_id, None)
            return to_text({"success": True})
        fields = self._subscribed.get(page.page_id)
        app = {"category": "Business", "link": "https://sandbox.invalid/", "name": "inboxsync sandbox"}
        data = [app | {"id": self._tokens.app_id, "subscribed_fields": fields}] if fields else []
        return to_text({"data": data})

    def _may_see(self, call: Call, page: PageWorld, object_id: str) -> None:
        if call.page is not None and call.page is not page:
            raise unknown_object(object_id)

    def _inbox_pool(self, view: View) -> tuple[str, str]:
        return (
            (view.page.instagram_id, "instagram") if view.is_instagram else (view.page.page_id, "messenger")
        )

    def _page_object(self, page: PageWorld) -> Json:
        return {
            "id": page.page_id,
            "name": page.name,
            "access_token": page.token,
            "category": _CATEGORY["name"],
            "category_list": [_CATEGORY],
            "tasks": _TASKS,
            "link": f"https://www.facebook.com/{page.page_id}",
            "username": f"sandbox.{page.number}",
            "instagram_business_account": {"id": page.instagram_id, "username": f"business.{page.number}"},
        }

    def _object(self, call: Call, node: str, values: Json, fields: tuple[Field, ...] | None = None) -> Json:
        """The fields asked for, of those that there are; the id is always there."""
        asked = call.fields("name", "id") if fields is None else fields
        rendered: Json = {}
        for field in asked:
            if field.name not in values and field.name not in _OPTIONAL.get(node, ()):
                raise unknown_field(field.name, node)
            if field.name in values:
                rendered[field.shown] = narrow(field, values[field.name])
        return rendered | ({"id": values["id"]} if "id" in values else {})


def _names(fields: Iterable[Field]) -> Iterator[str]:
    """Every field asked for, however deep."""
    for field in fields:
        yield field.name
        yield from _names(field.inner or ())


def _subscribed_fields(call: Call) -> list[str]:
    """Which events a Page's app asks for (graph-facts 4-18). Raises Refusal for unknown ones."""
    fields = [
        each.strip() for each in call.parameters.get("subscribed_fields", "").split(",") if each.strip()
    ]
    if not fields:
        raise Refusal(100, "(#100) The parameter subscribed_fields is required.")
    for field in fields:
        if field not in _SUBSCRIBABLE:
            raise Refusal(
                100, f"(#100) Param subscribed_fields[0] must be one of {{{', '.join(_SUBSCRIBABLE)}}}"
            )
    return fields


_SUBSCRIBABLE = (
    *("messages", "message_echoes", "message_reads", "message_deliveries", "message_reactions"),
    *("message_edits", "messaging_postbacks", "messaging_referrals", "messaging_optins", "standby", "feed"),
    *("messaging_handovers", "messaging_account_linking", "messaging_policy_enforcement"),
)
_OPTIONAL: dict[str, tuple[str, ...]] = {
    "Profile": ("name", "first_name", "last_name", "profile_pic", "locale", "timezone", "gender", "username"),
    "User": ("email", "first_name", "last_name", "middle_name", "name_format", "picture", "short_name"),
    # What a Page may have and ours has not; public SDKs ask for these by default.
    "Page": (
        *("about", "access_token", "bio", "cover", "description", "description_html", "display_subtext"),
        *("emails", "engagement", "fan_count", "followers_count", "global_brand_page_name", "hours"),
        *("global_brand_root_id", "is_published", "location", "phone", "picture", "tasks"),
        *("verification_status", "website"),
    ),
}
