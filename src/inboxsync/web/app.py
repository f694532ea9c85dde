"""The dashboard as one app: its routes, the scope that each needs, and its error pages."""

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

from inboxsync.api import Service
from inboxsync.api.problems import OriginRefused, ScopeTooSmall, status_of
from inboxsync.errors import InboxsyncError, Unexpected
from inboxsync.model import Scope
from inboxsync.web import views
from inboxsync.web.explained import Explained, explained
from inboxsync.web.rendering import query, serve_file
from inboxsync.web.request_context import RequestContext
from inboxsync.web.sessions import Session, Sessions, has_token

log = structlog.get_logger("inboxsync.web")

View = Callable[[RequestContext], Response | Awaitable[Response]]

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    # The origin check needs the address of a form's own page; other sites get no referrer.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
# These belong to the HTTP service: the dashboard answers none of them, not even with 404.
_NOT_OURS: Final = ("/api/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardRoute:
    """One address of the dashboard. `scope` None: open without a login."""

    path: str
    view: View
    method: str = "GET"
    scope: Scope | None = Scope.READ


ROUTES: Final = (
    DashboardRoute(path="/login", view=views.login.show_login, scope=None),
    DashboardRoute(path="/login", view=views.login.log_in, method="POST", scope=None),
    DashboardRoute(path="/logout", view=views.login.log_out, method="POST"),
    DashboardRoute(path="/", view=views.page_list.show),
    DashboardRoute(path="/pages/sync", view=views.page_list.sync, method="POST", scope=Scope.SYNC),
    DashboardRoute(path="/pages/verify", view=views.page_list.verify, method="POST", scope=Scope.SYNC),
    DashboardRoute(path="/pages/pause", view=views.page_list.pause, method="POST", scope=Scope.ADMIN),
    DashboardRoute(path="/pages/resume", view=views.page_list.resume, method="POST", scope=Scope.ADMIN),
    DashboardRoute(path="/pages/new", view=views.pages.show_form, scope=Scope.ADMIN),
    DashboardRoute(path="/pages/new", view=views.pages.add, method="POST", scope=Scope.ADMIN),
    DashboardRoute(path="/pages/{id}", view=views.pages.show),
    DashboardRoute(path="/pages/{id}/answers", view=views.answers.show),
    DashboardRoute(path="/pages/{id}/sync", view=views.runs.sync, method="POST", scope=Scope.SYNC),
    DashboardRoute(path="/pages/{id}/verify", view=views.runs.verify, method="POST", scope=Scope.SYNC),
    DashboardRoute(path="/pages/{id}/pause", view=views.pages.pause, method="POST", scope=Scope.ADMIN),
    DashboardRoute(path="/pages/{id}/resume", view=views.pages.resume, method="POST", scope=Scope.ADMIN),
    DashboardRoute(path="/conversations", view=views.conversations.list_some),
    DashboardRoute(path="/conversations/{id}", view=views.conversations.show),
    DashboardRoute(path="/contacts", view=views.contacts.list_some),
    DashboardRoute(path="/search", view=views.search.show),
    DashboardRoute(path="/runs", view=views.runs.list_some),
    DashboardRoute(path="/runs/{id}", view=views.runs.show),
    DashboardRoute(path="/runs/{id}/events", view=views.runs.stream),
    DashboardRoute(path="/runs/{id}/cancel", view=views.runs.cancel, method="POST", scope=Scope.SYNC),
    DashboardRoute(path="/exports", view=views.exports.show),
    DashboardRoute(path="/exports/file", view=views.exports.download),
    DashboardRoute(path="/settings", view=views.settings.show),
    DashboardRoute(
        path="/settings/schedule", view=views.settings.change_schedule, method="POST", scope=Scope.ADMIN
    ),
    DashboardRoute(path="/settings/keys", view=views.settings.make_key, method="POST", scope=Scope.ADMIN),
    DashboardRoute(
        path="/settings/keys/revoke", view=views.settings.revoke_key, method="POST", scope=Scope.ADMIN
    ),
)


def mount_dashboard(app: FastAPI) -> None:
    """Serve the dashboard at `/` of the HTTP service, beside its other routes."""
    service: Service = app.state.service
    dashboard = Dashboard(service, Sessions(service.engine))
    app.router.routes.append(_DashboardMount("/", app=dashboard.app, name="dashboard"))


class _DashboardMount(Mount):
    """A mount that matches no address of the HTTP service."""

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """As in the base class, but never for an address of the HTTP service."""
        if scope["type"] == "http" and scope["path"].startswith(_NOT_OURS):
            return Match.NONE, {}
        return super().matches(scope)


class Dashboard:
    """Checks who a visitor is, and answers the request."""

    def __init__(self, service: Service, sessions: Sessions) -> None:
        self._service = service
        self._sessions = sessions
        routes = [Route(route.path, self._endpoint(route), methods=[route.method]) for route in ROUTES]
        self.app = Starlette(
            routes=[*routes, Route("/static/{name}", serve_file)],
            exception_handlers={HTTPException: self._on_http},
        )

    def _endpoint(self, route: DashboardRoute) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            context = await self._context(request)
            try:
                response = await self._answer(route, context)
            except InboxsyncError as error:
                log.info("dashboard refused", path=route.path, code=error.code)
                response = _error_page(context, error)
            except HTTPException:
                # A form that is unreadable or too large.
                raise
            except Exception:
                # Answered here, so that the visitor gets a page and no other layer answers again.
                log.exception("unexpected error", path=route.path)
                response = _error_page(context, Unexpected("Something unexpected went wrong."))
            return self._with_headers(response, request, context.session)

        return answer

    async def _context(self, request: Request) -> RequestContext:
        session = await run_in_threadpool(self._found, request)
        caller = await self._service.auth.holder(session.credential, request) if session else None
        if session is None or (session.is_open and caller is None):
            session = self._sessions.begin()
        return RequestContext(
            request=request, service=self._service, sessions=self._sessions, session=session, caller=caller
        )

    def _found(self, request: Request) -> Session | None:
        """The session of this request, unless its visitor has logged out of it. Blocks."""
        self._sessions.prepare()
        session = self._sessions.find(request)
        has_ended = session is not None and session.is_open and self._sessions.has_ended(session)
        return None if has_ended else session

    async def _answer(self, route: DashboardRoute, context: RequestContext) -> Response:
        caller = context.caller
        if route.scope is not None and caller is None:
            return _to_login(context.request)
        if caller is not None and route.scope is not None and not caller.scope.covers(route.scope):
            raise ScopeTooSmall(
                f"This needs the scope {route.scope}, and {caller.name!r} has {caller.scope}.",
                hint="Log in with another key, or ask the person who runs this service for one.",
            )
        if route.method == "POST":
            context = await _with_form(context)
        if inspect.iscoroutinefunction(route.view):
            response: Response = await route.view(context)
            return response
        # A view reads the database, so it runs in a thread.
        answer = await run_in_threadpool(route.view, context)
        assert isinstance(answer, Response)  # noqa: S101 - coroutines are handled above
        return answer

    def _with_headers(self, response: Response, request: Request, session: Session) -> Response:
        """Add the headers of every page, and the cookie if the visitor's cookie is not for this session."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if self._sessions.find(request) != session and "set-cookie" not in response.headers:
            self._sessions.put_cookie(response, request, session)
        return response

    async def _on_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this only
        context = await self._context(request)
        if context.caller is None and error.status_code in (404, 405):
            return _to_login(request)
        title, message = _HTTP_ERRORS.get(
            error.status_code, ("Something went wrong", "The request cannot be read.")
        )
        response = _message_page(context, error.status_code, title=title, told=Explained(text=message))
        if request.method == "POST":
            # Do not wait for the rest of the body.
            response.headers["Connection"] = "close"
        return self._with_headers(response, request, context.session)


_HTTP_ERRORS: Mapping[int, tuple[str, str]] = {
    404: ("Not found", "There is no page at this address."),
    405: ("Not found", "This address does not accept this request."),
    413: ("Too large", "The form is too large."),
}


async def _with_form(context: RequestContext) -> RequestContext:
    """The same context with the sent form. Raises OriginRefused if the form is not one of ours."""
    sent = await context.request.form()
    lists: dict[str, list[str]] = {}
    for name, value in sent.multi_items():
        if isinstance(value, str):
            lists.setdefault(name, []).append(value.replace("\0", ""))
    form = {name: values[-1] for name, values in lists.items()}
    if not has_token(context.session, form.pop("csrf", "")):
        raise OriginRefused(
            "This form is no longer valid.", hint="Go back, reload the page, and send the form again."
        )
    return RequestContext(
        request=context.request,
        service=context.service,
        sessions=context.sessions,
        session=context.session,
        caller=context.caller,
        form=form,
        lists=lists,
    )


def _to_login(request: Request) -> Response:
    wanted = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        wanted = f"{wanted}?{request.url.query}"
    target = query({"next": wanted if wanted != "/" else ""})
    return RedirectResponse(f"/login?{target}" if target else "/login", status_code=303)


def _error_page(context: RequestContext, error: InboxsyncError) -> Response:
    status = status_of(error)
    may_admin = context.caller is not None and context.visitor.may_admin
    title = {403: "Not allowed", 404: "Not found", 409: "Not possible now", 429: "Too many attempts"}
    if isinstance(error, OriginRefused):
        title = {403: "Please try again"}
    return _message_page(
        context,
        status,
        title=title.get(status, "Something went wrong"),
        told=explained(error, may_admin=may_admin, is_form=True),
    )


def _message_page(context: RequestContext, status: int, *, title: str, told: Explained) -> Response:
    is_open = context.caller is not None
    return context.show(
        "error.html",
        here="",
        status=status,
        title=title,
        told=told,
        back="/" if is_open else "/login",
        back_label="Show all Pages" if is_open else "Log in",
    )
