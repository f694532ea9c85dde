"""`/pages/new`: adding a Page. The token comes in once, and never goes out."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.model import Platform
from inboxsync.web.page_rows import PLATFORMS
from inboxsync.web.request_context import RequestContext

_LONGEST_ID = 32
_LONGEST_NAME = 200
_LONGEST_TOKEN = 4096


def show_form(context: RequestContext) -> Response:
    """The empty form, or one for a known Page that needs a new token."""
    return _form(context, facebook_page_id=context.asked("id"), platform=context.asked("platform"))


async def add(context: RequestContext) -> Response:
    """Check the token against Meta, seal it, and show the Page."""
    sent = context.form
    page_id, platform = sent.get("facebook_page_id", "").strip(), sent.get("platform", "")
    try:
        page, is_new = await context.service.engine.add_page(
            _page_id(page_id),
            platform=Platform(platform) if platform in set(Platform) else Platform.MESSENGER,
            token=_token(sent.get("token", "")),
            name=sent.get("name", "").strip()[:_LONGEST_NAME] or None,
        )
    except InboxsyncError as refused:
        return await run_in_threadpool(
            _form,
            context,
            facebook_page_id=page_id,
            platform=platform,
            name=sent.get("name", ""),
            problem=refused,
        )
    return context.go(f"/pages/{page.id}", done="added" if is_new else "renewed")


def _form(
    context: RequestContext,
    *,
    facebook_page_id: str,
    platform: str,
    name: str = "",
    problem: InboxsyncError | None = None,
) -> Response:
    return context.show(
        "page_new.html",
        here="pages",
        status=422 if problem else 200,
        problem=problem,
        # What was typed is shown again, but for the token.
        given={"facebook_page_id": facebook_page_id, "platform": platform, "name": name},
        platforms=[(value.value, label) for value, label in PLATFORMS.items()],
    )


def _page_id(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID):
        raise SettingsInvalid("That is not a Page id.", hint="It is a number, such as 104567890123456.")
    return text


def _token(text: str) -> str:
    token = text.strip()
    is_one = token and token.isascii() and token.isprintable() and " " not in token
    if not is_one or len(token) > _LONGEST_TOKEN:
        raise SettingsInvalid(
            "That is not an access token.", hint="Copy it whole, without quotes or line breaks."
        )
    return token
