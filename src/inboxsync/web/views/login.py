"""Logging in and out."""

from starlette.responses import Response

from inboxsync.api.errors import KeyInvalid, KeyMissing
from inboxsync.api.keys import ANYBODY_HERE
from inboxsync.errors import InboxsyncError
from inboxsync.web.cookies import drop_cookie, put_cookie
from inboxsync.web.request_context import Visit


async def show_login(visit: Visit) -> Response:
    """The form, or on to the Pages for whoever is in already."""
    if visit.caller is not None:
        return visit.go(_wanted(visit.asked("next")))
    return await _form(visit)


async def log_in(visit: Visit) -> Response:
    """Check the key and begin a session."""
    try:
        name = await _who(visit)
    except InboxsyncError as refused:
        return await _form(visit, problem=refused)
    session = visit.sessions.logged_in(name)
    visit.sessions.end(visit.session)
    response = visit.go(_wanted(visit.form.get("next", "")))
    put_cookie(response, visit.request, visit.sessions.seal(session))
    return response


async def log_out(visit: Visit) -> Response:
    """End the session, here and in the browser."""
    visit.sessions.end(visit.session)
    response = visit.go("/login")
    drop_cookie(response, visit.request)
    return response


async def _who(visit: Visit) -> str:
    """The name of the key that was shown. Raises KeyInvalid, KeyGuessing."""
    shown = visit.form.get("key", "").strip()
    if not shown:
        if await _is_open(visit):
            return ANYBODY_HERE.name
        raise KeyInvalid("Paste an API key.")
    client = visit.request.client
    caller = await visit.service.door.check_key(shown, address=client.host if client else "local")
    return caller.name


async def _is_open(visit: Visit) -> bool:
    """Whether no key was ever made, and the visitor sits at this machine."""
    try:
        return await visit.service.door.admit(visit.request) == ANYBODY_HERE
    except (KeyMissing, KeyInvalid):
        return False


async def _form(visit: Visit, *, problem: InboxsyncError | None = None) -> Response:
    wanted = visit.form.get("next", "") or visit.asked("next")
    return visit.show(
        "login.html",
        here="",
        status=401 if problem else 200,
        problem=problem.message if problem else "",
        next=_wanted(wanted),
        is_open=await _is_open(visit),
    )


def _wanted(path: str) -> str:
    """Where to go on: a path of ours, never an address of somebody else's."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours and not path.startswith(("/login", "/logout")) else "/"
