"""Which part of the data an export or a report is asked for: Pages, since when, in which time zone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from typing import Annotated

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from inboxsync.api.schemas import MOST, PAGE_PATTERN, with_plus
from inboxsync.api.service import Service
from inboxsync.errors import SettingsInvalid
from inboxsync.reports.when import parse_since, parse_zone

OfPages = Annotated[
    list[Annotated[str, Field(pattern=PAGE_PATTERN)]] | None,
    Query(
        max_length=MOST,
        description="Only of this Page: an id or its name. May be sent more than once.",
        examples=[["01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"]],
    ),
]
SinceText = Annotated[
    str | None,
    Query(
        max_length=64,
        description="Only since then: 2026-01-31, 2026-01-31T12:00, or 24h, 30d, 4w ago.",
        examples=["2026-06-01"],
        json_schema_extra={"format": "since"},
    ),
]
ZoneText = Annotated[
    str | None,
    Query(
        max_length=64,
        description="Time zone of days and hours. Default: that of the settings.",
        examples=["Europe/Berlin"],
        json_schema_extra={"format": "zone"},
    ),
]


@contextmanager
def named_wrong(name: str) -> Iterator[None]:
    """Tell which parameter has a value that cannot be used, without repeating the value."""
    try:
        yield
    except SettingsInvalid as error:
        wrong = {"type": "value", "loc": ("query", name), "msg": error.hint.rstrip("."), "input": None}
        raise RequestValidationError([wrong]) from None


def zone_of(service: Service, name: str | None) -> tzinfo:
    """The time zone that a request names; without one, that of the settings."""
    with named_wrong("zone"):
        return service.engine.settings.zone if name is None else parse_zone(name)


def since_of(service: Service, text: str | None, zone: tzinfo) -> datetime | None:
    """Since when a request asks, as the commands read it; None for None."""
    if text is None:
        return None
    with named_wrong("since"):
        return parse_since(with_plus(text), now=service.engine.clock.now(), zone=zone)
