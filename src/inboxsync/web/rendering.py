"""Makes HTML of templates: everything is escaped, nothing is undefined."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from inboxsync import __version__
from inboxsync.web import wording

_FACES = 6


def render(template: str, **context: Any) -> str:  # noqa: ANN401 - what a template takes
    """The template with this context, as text."""
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
        "moment": wording.moment,
        "initials": wording.initials,
        "face": _face,
        "time": time_tag,
        "backlog": wording.backlog_in_words,
    }
    return made


@cache
def asset(name: str) -> str:
    """The address of one of our files; it changes with its content, so browsers may keep it for good."""
    content = files("inboxsync.web").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def time_tag(at: datetime | None, shape: str = "ago") -> str:
    """A `<time>` element: `ago` in words, `moment` with its date, `clock` as hours and minutes."""
    if at is None:
        return "never"
    said = {
        "ago": lambda: wording.ago(at, datetime.now(UTC)),
        "moment": lambda: wording.moment(at),
        "clock": lambda: f"{at.astimezone(UTC):%H:%M}",
    }[shape]()
    stamp = at.astimezone(UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-shape="{}" title="{}">{}</time>').format(
        stamp, shape, wording.moment(at), said
    )


def _face(name: str | None) -> Markup:
    """A round with initials; decoration, so screen readers pass it by."""
    number = int(hashlib.sha256((name or "").encode()).hexdigest(), 16) % _FACES
    return Markup('<span class="face f{}" aria-hidden="true">{}</span>').format(
        number, wording.initials(name)
    )


def query(parts: Mapping[str, Any]) -> str:
    """What follows the question mark, without what is empty."""
    from urllib.parse import urlencode  # noqa: PLC0415 - one user

    return urlencode({name: value for name, value in parts.items() if value not in (None, "", False)})


__all__ = ["asset", "escape", "query", "render", "time_tag"]
