"""Usage headers in forms that public bug reports have shown, by name, or any others."""

import json
from collections.abc import Mapping
from typing import Final

from inboxsync.sandbox.config import Faults, OddUsage

_APP = "X-App-Usage"
_BUSINESS = "X-Business-Use-Case-Usage"
_QUOTA = (
    '{"type":"messenger","call_count":%s,"total_cputime":1,"total_time":1,'
    '"estimated_time_to_regain_access":%s}'
)

ODD_USAGE: Final[Mapping[OddUsage, Mapping[str, str]]] = {
    "call_volume": {_APP: '{"call_volume":100,"cpu_time":0}'},
    "text_numbers": {
        _BUSINESS: '{"PAGE":[{"type":"messenger","call_count":"97","total_cputime":"1","total_time":"1",'
        '"estimated_time_to_regain_access":10}]}'
    },
    "huge_number": {_APP: f'{{"call_count":{"9" * 400}}}'},
    "other_page": {_BUSINESS: f'{{"999000000000001":[{_QUOTA % (100, 30)}],"PAGE":[{_QUOTA % (3, 0)}]}}'},
    "cut": {_BUSINESS: f'{{"PAGE":[{_QUOTA % (100, 30)}'[:-30]},
    "list": {_BUSINESS: f"[{_QUOTA % (100, 30)}]"},
    "page_usage": {"X-Page-Usage": '{"call_count":100,"total_cputime":1,"total_time":1}'},
}


def odd_usage(faults: Faults, page_id: str) -> dict[str, str]:
    """The headers in place of the true ones; empty if nothing is to be changed."""
    headers = ODD_USAGE[faults.usage] if faults.usage is not None else {}
    if faults.usage_headers is not None:
        headers = json.loads(faults.usage_headers)
    return {name: str(value).replace("PAGE", page_id) for name, value in headers.items()}
