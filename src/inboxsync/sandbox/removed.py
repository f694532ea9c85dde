"""What Meta removed for all versions in autumn 2026 (graph-facts 1.1-10, 1.1-11).

`pretty`, `debug`, `date_format` and `If-None-Match` are ignored, as any unknown parameter or header
is. The rest is refused; only the words of `ids` are known. With the switch `legacy` nothing is.
"""

from collections.abc import Iterable

from inboxsync.sandbox.call import Call
from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.refusal import Refusal

_PARAMETERS = {
    "ids": "multi-id requests",
    "method": "HTTP method override",
    "callback": "JSONP callbacks",
    "asyncbatch": "asynchronous batch requests",
}


def refuse_removed(call: Call) -> None:
    """Raise Refusal for a call that uses one of them."""
    for name, what in _PARAMETERS.items():
        if name in call.parameters:
            raise Refusal(100, f"(#100) The parameter {name} is deprecated: {what} are no longer supported")
    if ".as(" in call.parameters.get("fields", "") and _has_alias(call.fields()):
        raise Refusal(100, "(#100) Field aliases are no longer supported")


def _has_alias(fields: Iterable[Field]) -> bool:
    return any("as" in field.arguments or _has_alias(field.inner or ()) for field in fields)
