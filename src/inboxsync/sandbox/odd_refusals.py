"""Refusals in shapes and words that public bug reports have shown, by name.

`PAGE` in them is the Page's id. They are served as they are, in place of an answer.
"""

import json
from typing import Final, NamedTuple

from starlette.responses import Response

from inboxsync.sandbox.config import OddRefusalName

_JSON = {"Content-Type": "application/json; charset=UTF-8"}
_DEAD = {
    "message": "Error validating access token: Session has expired.",
    "type": "OAuthException",
    "code": 190,
    "error_subcode": 463,
    "fbtrace_id": "AxTrace",
}


class OddRefusal(NamedTuple):
    """Status, body (JSON, or text as it is) and headers."""

    status: int
    body: object
    headers: dict[str, str] = _JSON


def _envelope(code: int, message: str, **more: object) -> dict[str, object]:
    return {
        "error": {"message": message, "type": "OAuthException", "code": code, **more, "fbtrace_id": "AxTrace"}
    }


ODD_REFUSALS: Final[dict[OddRefusalName, OddRefusal]] = {
    # Only a person can help.
    "page_merged": OddRefusal(
        400,
        _envelope(
            21,
            "(#21) Page ID PAGE was migrated to page ID 999567890123456.  "
            "Please update your API calls to the new ID",
        ),
    ),
    "no_application": OddRefusal(
        400,
        _envelope(101, "Error validating application. Cannot get application info due to a system error."),
    ),
    "page_unpublished": OddRefusal(
        400, _envelope(190, "This Page access token belongs to a Page that is not accessible.")
    ),
    "new_pages_experience": OddRefusal(
        400,
        _envelope(
            200,
            "Permissions error",
            error_subcode=2069030,
            is_transient=False,
            error_user_title="New Pages Experience Is Not Supported",
            error_user_msg="This endpoint is not supported in the new Pages experience.",
        ),
    ),
    "data_access_ended": OddRefusal(
        400,
        _envelope(
            190,
            "Error validating access token: The user has not engaged the app in longer than 90 days.",
            error_subcode=493,
        ),
    ),
    # No `error` object, or another one.
    "code_on_top": OddRefusal(
        400, {"error_type": "OAuthException", "code": 190, "error_message": "Invalid OAuth access token."}
    ),
    "error_code_on_top": OddRefusal(200, {"error_code": 1, "error_msg": "An unknown error occurred"}),
    "error_is_text": OddRefusal(401, {"error": "invalid_token", "error_description": "The token is invalid"}),
    "error_is_true": OddRefusal(400, {"error": True, "code": 190, "message": _DEAD["message"]}),
    "error_is_json_text": OddRefusal(400, {"error": json.dumps(_DEAD)}),
    "error_is_list": OddRefusal(400, {"error": [_DEAD]}),
    "errors": OddRefusal(400, {"errors": [_DEAD]}),
    "meta": OddRefusal(
        400,
        {
            "meta": {
                "code": 190,
                "error_type": "OAuthException",
                "error_message": "It is invalid.",
            }
        },
    ),
    "batch_item": OddRefusal(200, [{"code": 400, "headers": [], "body": json.dumps({"error": _DEAD})}]),
    "json_in_text": OddRefusal(400, json.dumps(json.dumps({"error": _DEAD}))),
    "code_is_text": OddRefusal(400, {"error": _DEAD | {"code": "190", "error_subcode": "463"}}),
    "code_is_fraction": OddRefusal(400, {"error": _DEAD | {"code": 190.0, "error_subcode": 463.0}}),
    # By the status alone.
    "too_many_requests": OddRefusal(
        429, "<html>Too Many Requests</html>", {"Content-Type": "text/html", "Retry-After": "30"}
    ),
    "unavailable": OddRefusal(
        503, "<html>Service Unavailable</html>", {"Content-Type": "text/html", "Retry-After": "30"}
    ),
}


def odd_refusal(name: OddRefusalName, page_id: str) -> Response:
    """The answer."""
    status, body, headers = ODD_REFUSALS[name]
    text = body if isinstance(body, str) else json.dumps(body)
    return Response(text.replace("PAGE", page_id), status, headers)
