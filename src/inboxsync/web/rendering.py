"""Makes HTML from templates and serves our own stylesheet, scripts and icon."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from inboxsync import __version__
from inboxsync.web import wording

_FACES = 6


def render(template: str, **context: Any) -> str:  # noqa: ANN401 - what a template takes
    """The HTML of a template with this context. Everything is escaped, nothing may be undefined.

    Times are shown in the context's `zone`, and beside its `now`.
    """
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("inboxsync.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"asset": asset, "version": __version__}
    made.filters |= {
        "count": lambda number: f"{number:,}",
        "some": wording.some,
        "duration": wording.duration,
        "initials": wording.initials,
        "face": _face,
        "time": _time,
        "backlog": wording.backlog_in_words,
    }
    return made


@cache
def asset(name: str) -> str:
    """The address of one of our files. It changes with the content, so browsers may keep the file forever."""
    content = files("inboxsync.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@pass_context
def _time(context: Context, at: datetime | None, shape: str = "ago") -> str:
    return time_tag(at, shape, zone=context["zone"], now=context["now"])


def time_tag(at: datetime | None, shape: str = "ago", *, zone: tzinfo, now: datetime) -> str:
    """A `<time>` element: `ago` in words, `moment` with its date, `clock` as hours and minutes, in `zone`."""
    if at is None:
        return "never"
    said = {
        "ago": lambda: wording.ago(at, now, zone),
        "moment": lambda: wording.moment(at, zone),
        "clock": lambda: wording.clock(at, zone),
    }[shape]()
    stamp = at.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{} ({})">{}</time>').format(
        stamp, wording.moment(at, zone), zone, said
    )


def _face(name: str | None) -> Markup:
    """A circle with initials. It is decoration, so screen readers skip it."""
    number = int(hashlib.sha256((name or "").encode()).hexdigest(), 16) % _FACES
    return Markup('<span class="face f{}" aria-hidden="true">{}</span>').format(
        number, wording.initials(name)
    )


def query(parts: Mapping[str, Any]) -> str:
    """The query string of an address, without empty parameters."""
    from urllib.parse import urlencode  # noqa: PLC0415 - one user

    return urlencode({name: value for name, value in parts.items() if value not in (None, "", False)})


__all__ = ["asset", "escape", "query", "render", "time_tag"]


_TYPES: Final = {
    "style.css": "text/css; charset=utf-8",
    "controls.js": "text/javascript; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


async def serve_file(request: Request) -> Response:
    """One of our files. Its address has a hash of its content, so browsers may keep it."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404)
    return Response(
        _read(name),
        media_type=_TYPES[name],
        headers={
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Security-Policy": "default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        },
    )


@cache
def _read(name: str) -> bytes:
    return files("inboxsync.web").joinpath("static", name).read_bytes()
