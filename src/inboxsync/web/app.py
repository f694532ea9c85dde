"""The dashboard as one app: every way in, who may take it, and what an error looks like."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount, Route
from starlette.types import Scope as AsgiScope

from inboxsync.api import Caller, Service
from inboxsync.api.errors import OriginRefused, ScopeTooSmall
from inboxsync.api.keys import ANYBODY_HERE
from inboxsync.api.problems import status_of
from inboxsync.errors import InboxsyncError, Unexpected
from inboxsync.model import Scope
from inboxsync.web import views
from inboxsync.web.assets import serve_file
from inboxsync.web.cookies import COOKIE, put_cookie
from inboxsync.web.rendering import query
from inboxsync.web.request_context import RequestContext
from inboxsync.web.sessions import Session, Sessions, has_token

log = structlog.get_logger("inboxsync.web")

View = Callable[[RequestContext], Response | Awaitable[Response]]

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    # A form's own page has to be known to the check below; nothing is told to other sites.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
# What belongs to the HTTP service: there the dashboard answers nothing, not even that nothing is there.
_NOT_OURS: Final = ("/api/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way into the dashboard. `scope` None: open to whoever has not logged in."""

    path: str
    view: View
    method: str = "GET"
    scope: Scope | None = Scope.READ


WAYS: Final = (
    Way(path="/login", view=views.login.show_login, scope=None),
    Way(path="/login", view=views.login.log_in, method="POST", scope=None),
    Way(path="/logout", view=views.login.log_out, method="POST"),
    Way(path="/", view=views.pages.list_all),
    Way(path="/pages/new", view=views.new_page.show_form, scope=Scope.ADMIN),
    Way(path="/pages/new", view=views.new_page.add, method="POST", scope=Scope.ADMIN),
    Way(path="/pages/{id}", view=views.page.show),
    Way(path="/pages/{id}/answers", view=views.answers.show),
    Way(path="/pages/{id}/sync", view=views.actions.sync, method="POST", scope=Scope.SYNC),
    Way(path="/pages/{id}/verify", view=views.actions.verify, method="POST", scope=Scope.SYNC),
    Way(path="/pages/{id}/pause", view=views.actions.pause, method="POST", scope=Scope.ADMIN),
    Way(path="/pages/{id}/resume", view=views.actions.resume, method="POST", scope=Scope.ADMIN),
    Way(path="/conversations", view=views.conversations.list_some),
    Way(path="/conversations/{id}", view=views.thread.show),
    Way(path="/contacts", view=views.contacts.list_some),
    Way(path="/search", view=views.search.show),
    Way(path="/runs", view=views.runs.list_some),
    Way(path="/runs/{id}", view=views.runs.show),
    Way(path="/runs/{id}/events", view=views.live.stream),
    Way(path="/runs/{id}/cancel", view=views.actions.cancel, method="POST", scope=Scope.SYNC),
    Way(path="/exports", view=views.exports.show),
    Way(path="/exports/file", view=views.exports.download),
    Way(path="/settings", view=views.settings.show),
    Way(path="/settings/schedule", view=views.settings.change_schedule, method="POST", scope=Scope.ADMIN),
    Way(path="/settings/keys", view=views.settings.make_key, method="POST", scope=Scope.ADMIN),
    Way(path="/settings/keys/revoke", view=views.settings.revoke_key, method="POST", scope=Scope.ADMIN),
)


def mount_dashboard(app: FastAPI) -> None:
    """Serve the dashboard at `/` of the HTTP service, beside everything that is there already."""
    service: Service = app.state.service
    engine = service.engine
    sessions = Sessions(lambda: engine.token_cipher(may_make_key=True), now=engine.clock.now)
    app.router.routes.append(_Beside("/", app=Dashboard(service, sessions).app, name="dashboard"))


class _Beside(Mount):
    """A mount that leaves alone what belongs to the HTTP service."""

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """As the base; never for an address that is not the dashboard's."""
        if scope["type"] == "http" and scope["path"].startswith(_NOT_OURS):
            return Match.NONE, {}
        return super().matches(scope)


class Dashboard:
    """Lets visitors in and answers them."""

    def __init__(self, service: Service, sessions: Sessions) -> None:
        self._service = service
        self._sessions = sessions
        routes = [Route(way.path, self._endpoint(way), methods=[way.method]) for way in WAYS]
        self.app = Starlette(
            routes=[*routes, Route("/static/{name}", serve_file)],
            exception_handlers={HTTPException: self._on_http},
        )

    def _endpoint(self, way: Way) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            context = await self._context(request)
            try:
                response = await self._admitted(way, context)
            except InboxsyncError as error:
                log.info("dashboard refused", path=way.path, code=error.code)
                response = _error_page(context, error)
            except HTTPException:
                # A form that cannot be read, or is too large.
                raise
            except Exception:
                # Answered here, so that a visitor gets a page and no other layer answers it once more.
                log.exception("unexpected error", path=way.path)
                response = _error_page(context, Unexpected("Something unexpected went wrong."))
            return self._dressed(response, request, context.session)

        return answer

    async def _context(self, request: Request) -> RequestContext:
        session = self._sessions.find(request.cookies.get(COOKIE))
        caller = await self._caller(session) if session else None
        if session is None or (session.is_open and caller is None):
            session = self._sessions.begin()
        return RequestContext(
            request=request, service=self._service, sessions=self._sessions, session=session, caller=caller
        )

    async def _caller(self, session: Session) -> Caller | None:
        """Who this session belongs to, as their key is now."""
        if not session.is_open or session.key_name is None:
            return None
        keys = self._service.keys
        if session.key_name == ANYBODY_HERE.name:
            return None if await keys.has_keys() else ANYBODY_HERE
        return await keys.named(session.key_name)

    async def _admitted(self, way: Way, context: RequestContext) -> Response:
        caller = context.caller
        if way.scope is not None and caller is None:
            return _to_login(context.request)
        if caller is not None and way.scope is not None and not caller.scope.covers(way.scope):
            raise ScopeTooSmall(
                f"This needs the scope {way.scope}, and {caller.name!r} has {caller.scope}.",
                hint="Log in with another key, or ask whoever runs this service for one.",
            )
        if way.method == "POST":
            context = await _with_form(context)
        if inspect.iscoroutinefunction(way.view):
            response: Response = await way.view(context)
            return response
        # A view reads the database, so it has a thread of its own.
        answered = await run_in_threadpool(way.view, context)
        assert isinstance(answered, Response)  # noqa: S101 - the other kind was answered above
        return answered

    def _dressed(self, response: Response, request: Request, session: Session) -> Response:
        """The headers of every page, and the cookie where the visitor has none that holds this session."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        known = self._sessions.find(request.cookies.get(COOKIE))
        if known != session and "set-cookie" not in response.headers:
            put_cookie(response, request, self._sessions.encrypt(session))
        return response

    async def _on_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it was registered for nothing else
        context = await self._context(request)
        if context.caller is None and error.status_code in (404, 405):
            return _to_login(request)
        title, message = _OF_HTTP.get(error.status_code, ("That did not work", "The request cannot be read."))
        response = _said(context, error.status_code, title=title, message=message, hint="", code="")
        if request.method == "POST":
            # The rest of what was sent is not waited for.
            response.headers["Connection"] = "close"
        return self._dressed(response, request, context.session)


_OF_HTTP: Mapping[int, tuple[str, str]] = {
    404: ("Nothing is here", "There is no page at this address."),
    405: ("Nothing is here", "This address does not take what was sent."),
    413: ("Too much was sent", "The form is larger than is read."),
}


async def _with_form(context: RequestContext) -> RequestContext:
    """The same with what was sent. Raises OriginRefused where the form is not one of ours."""
    sent = await context.request.form()
    form = {name: value.replace("\0", "") for name, value in sent.items() if isinstance(value, str)}
    if not has_token(context.session, form.pop("csrf", "")):
        raise OriginRefused(
            "This form is no longer valid.", hint="Go back, load the page again, and send it once more."
        )
    return RequestContext(
        request=context.request,
        service=context.service,
        sessions=context.sessions,
        session=context.session,
        caller=context.caller,
        form=form,
    )


def _to_login(request: Request) -> Response:
    wanted = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        wanted = f"{wanted}?{request.url.query}"
    target = query({"next": wanted if wanted != "/" else ""})
    return RedirectResponse(f"/login?{target}" if target else "/login", status_code=303)


def _error_page(context: RequestContext, error: InboxsyncError) -> Response:
    status = status_of(error)
    title = {403: "Not with this key", 404: "Not there", 409: "Not now", 429: "Too many attempts"}
    if isinstance(error, OriginRefused):
        title = {403: "Please try again"}
    return _said(
        context,
        status,
        title=title.get(status, "That did not work"),
        message=error.message,
        hint=error.hint,
        code=error.code,
    )


def _said(
    context: RequestContext, status: int, *, title: str, message: str, hint: str, code: str
) -> Response:
    is_open = context.caller is not None
    return context.show(
        "error.html",
        here="",
        status=status,
        title=title,
        message=message,
        hint=hint,
        code=code,
        back="/" if is_open else "/login",
        back_label="To the Pages" if is_open else "To the log-in",
    )
