"""Logging in and out."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.api import LOCAL_CALLER, Caller
from inboxsync.api.problems import KeyInvalid, KeyMissing
from inboxsync.errors import InboxsyncError
from inboxsync.web.request_context import RequestContext


async def show_login(context: RequestContext) -> Response:
    """The form; a visitor who is logged in already goes to the Pages."""
    if context.caller is not None:
        return context.redirect(_wanted(context.param("next")))
    return await _form(context)


async def log_in(context: RequestContext) -> Response:
    """Check the key and start a session."""
    try:
        caller = await _who(context)
    except InboxsyncError as refused:
        return await _form(context, problem=refused)
    session = context.sessions.logged_in(caller.credential)
    await run_in_threadpool(context.sessions.end, context.session)
    response = context.redirect(_wanted(context.form.get("next", "")))
    context.sessions.put_cookie(response, context.request, session)
    return response


async def log_out(context: RequestContext) -> Response:
    """End the session, here and in the browser."""
    await run_in_threadpool(context.sessions.end, context.session)
    response = context.redirect("/login")
    context.sessions.drop_cookie(response, context.request)
    return response


async def _who(context: RequestContext) -> Caller:
    """The owner of the key that was sent. Raises KeyInvalid, KeyGuessing."""
    sent = context.form.get("key", "").strip()
    if not sent:
        if await _is_open(context):
            return LOCAL_CALLER
        raise KeyInvalid("Paste an API key.")
    client = context.request.client
    return await context.service.auth.check_key(sent, address=client.host if client else "local")


async def _is_open(context: RequestContext) -> bool:
    """Whether no key exists, and the request comes from this machine."""
    try:
        return await context.service.auth.identify(context.request) == LOCAL_CALLER
    except (KeyMissing, KeyInvalid):
        return False


async def _form(context: RequestContext, *, problem: InboxsyncError | None = None) -> Response:
    wanted = context.form.get("next", "") or context.param("next")
    return context.show(
        "login.html",
        here="",
        status=401 if problem else 200,
        problem=problem.message if problem else "",
        next=_wanted(wanted),
        is_open=await _is_open(context),
    )


def _wanted(path: str) -> str:
    """Where to go after the login: a path of the dashboard, never an address of another site."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours and not path.startswith(("/login", "/logout")) else "/"
