"""Makes the answers of those who read in the thread that reads.

FastAPI would have what a route returns validated in a second thread and written in the event loop: under
load each of these waits for its turn.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from fastapi import Response

from inboxsync.api.schemas import Shape

P = ParamSpec("P")


def as_json(read: Callable[P, Shape]) -> Callable[P, Response]:
    """A route that answers with what `read` returns; to FastAPI it has its parameters and its shape."""

    @wraps(read)
    def route(*args: P.args, **kwargs: P.kwargs) -> Response:
        return Response(read(*args, **kwargs).model_dump_json(), media_type="application/json")

    return route
