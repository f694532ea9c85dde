"""The listening socket, closed for a while: connections are refused, as if no one were there."""

import socket

import uvicorn


class Door:
    """What closes and opens again; open at first."""

    def __init__(self, server: uvicorn.Server, host: str, port: int) -> None:
        self._server = server
        self._address = host, port

    def close(self) -> None:
        """From now on connections are refused; those that there are stay."""
        for each in self._server.servers:
            each.close()

    async def open(self) -> None:
        """They are taken again, at the same address."""
        await self._server.startup(sockets=[listen(*self._address)])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises OSError if the port is not free."""
    # asyncio sends small answers at once only if the socket says that it is TCP; else each waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
