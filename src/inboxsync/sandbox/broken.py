"""Answers that are none: cut, empty, an error page, far too large, or a byte a second."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send

from inboxsync.sandbox.config import Faults

_HTML = (
    '<!DOCTYPE html><html lang="en"><head><title>Facebook | Error</title></head>'
    "<body><h1>Sorry, something went wrong.</h1></body></html>"
)
_BLANKS = b" " * 2**20
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def broken(fault: str | None) -> Response | None:
    """What is answered without a look at the call; None for no such fault."""
    match fault:
        case "html":
            return Response(_HTML, 500, {"Content-Type": "text/html; charset=utf-8"})
        case "empty":
            return Response(b"", 200, {"Content-Type": "application/json; charset=UTF-8"})
        case "null":
            return Response(b"null", 200, {"Content-Type": "application/json; charset=UTF-8"})
    return None


def huge(body: bytes, faults: Faults, headers: Mapping[str, str]) -> Response:
    """This answer with blanks before its last character: `huge_bytes`, made as it is sent."""
    blanks = max(0, faults.huge_bytes - len(body))
    tail = body[-1:] if faults.huge_is_json else b""
    if faults.huge_form == "packed":
        parts = [_GZIP_HEAD, *_packed(body[:-1], blanks, tail)]
        headers = {**headers, "Content-Encoding": "gzip"}
    else:
        whole, rest = divmod(blanks, len(_BLANKS))
        parts = [body[:-1], *[_BLANKS] * whole, _BLANKS[:rest], tail]
    if not faults.huge_chunked:
        headers = {**headers, "Content-Length": str(sum(map(len, parts)))}
    return StreamingResponse(_each(parts, seconds=0.0), 200, headers)


def trickle(body: bytes, faults: Faults, headers: Mapping[str, str]) -> Response:
    """This answer, `trickle_bytes` at a time, with pauses between them."""
    step = faults.trickle_bytes
    parts = [body[at : at + step] for at in range(0, len(body), step)]
    headers = {**headers, "Content-Length": str(len(body))}
    return StreamingResponse(_each(parts, seconds=faults.trickle_seconds), 200, headers)


async def abort(receive: Receive, send: Send) -> None:
    """Cut the connection, as a network does: ASGI has no message for it, the server's transport has."""
    cycle = getattr(send, "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise ConnectionResetError("reset by the sandbox")
    transport.abort()
    # Until the server has noticed: otherwise it logs that no answer came.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _each(parts: list[bytes], *, seconds: float) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(seconds)


def _packed(head: bytes, blanks: int, tail: bytes) -> list[bytes]:
    """A deflate stream of both with blanks between, and its check sum; equal blocks are packed once."""
    whole, rest = divmod(blanks, len(_BLANKS))
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [
        _block(head),
        *[_block(_BLANKS)] * whole,
        _block(_BLANKS[:rest]),
        end.compress(tail) + end.flush(),
    ]
    size = len(head) + blanks + len(tail)
    check = zlib.crc32(tail, _crc_of_blanks(zlib.crc32(head), blanks))
    return [*parts, check.to_bytes(4, "little"), (size % 2**32).to_bytes(4, "little")]


@lru_cache(maxsize=64)
def _block(data: bytes) -> bytes:
    """A piece that needs nothing before it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def _crc_of_blanks(check: int, blanks: int) -> int:
    whole, rest = divmod(blanks, len(_BLANKS))
    for _ in range(whole):
        check = zlib.crc32(_BLANKS, check)
    return zlib.crc32(_BLANKS[:rest], check)
