"""`inboxsync serve`: the HTTP service, and a worker with it."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Annotated

import structlog
import typer

from inboxsync.cli.ending import asked_to_end
from inboxsync.cli.interpreter import set_for_syncing
from inboxsync.cli.opening import open_engine
from inboxsync.cli.worker_process import keep_worker
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.store.state.api_keys import list_api_keys

log = structlog.get_logger("inboxsync.serve")

_BACKLOG = 2048
# Batches under way have so long to be stored.
_DRAIN_SECONDS = 8.0


class ServeFailed(InboxsyncError):
    """The service cannot listen."""

    code = "serve_failed"


def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Where to listen. Elsewhere than here it needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Run nothing here: workers of their own take the runs.")
    ] = False,
) -> None:
    """Serve the API over HTTP; a worker begins and ends with it, so nothing else needs starting.

    Without an API key it answers this machine alone, and refuses to listen elsewhere.
    SIGTERM ends it within ten seconds: runs go on where they stood at the next start.
    """
    with open_engine() as engine:
        _refuse_an_open_door(engine, host)
        with _listen(host, port) as listener:
            asyncio.run(_serve(engine, listener, host=host, has_worker=not no_worker))


async def _serve(engine: Engine, listener: socket.socket, *, host: str, has_worker: bool) -> None:
    # Imported here: a sync needs no server.
    from inboxsync.api import create_app  # noqa: PLC0415
    from inboxsync.api.server import Server  # noqa: PLC0415
    from inboxsync.web import mount_dashboard  # noqa: PLC0415
    from inboxsync.workers import RunQueue  # noqa: PLC0415

    queue = RunQueue(engine)
    app = create_app(engine, queue=queue, names=frozenset({host.lower()}))
    mount_dashboard(app)
    server = Server(app, trusted_proxies=engine.settings.trusted_proxies)
    asked, draining = asked_to_end(), asyncio.Event()
    works = [asyncio.create_task(server.run_on(listener))]
    if has_worker:
        works.append(asyncio.create_task(keep_worker(draining, drain_seconds=_DRAIN_SECONDS)))
    set_for_syncing(stays=True)
    log.info("serving", url=_url(listener), worker=has_worker)
    await asyncio.wait({asked, *works}, return_when=asyncio.FIRST_COMPLETED)
    log.info("ending")
    server.end()
    draining.set()
    await asyncio.gather(*works)  # side by side: streams end while batches under way are stored
    queue.close()
    log.info("ended")


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _refuse_an_open_door(engine: Engine, host: str) -> None:
    """Raises SettingsInvalid where others than this machine would be let in without a key."""
    with engine.store.read() as connection:
        has_key = any(key.revoked_at is None for key in list_api_keys(connection))
    if has_key or engine.settings.api_key is not None or _is_loopback(host):
        return
    raise SettingsInvalid(
        f"Without an API key anybody who reaches {host} could read every conversation, so it is not served.",
        hint="Make one with `inboxsync keys create NAME --scope admin`, or set INBOXSYNC_API_KEY, or listen "
        "on 127.0.0.1.",
    )


def _is_loopback(host: str) -> bool:
    """Whether every address of this name is this machine's own."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no address"
        raise ServeFailed(
            f"{host} port {port} cannot be listened on: {why}.", hint="Take another --host or --port."
        ) from None
    # Connections inherit it. Without it the second half of an answer waits 40 ms for the reader's word that
    # the first has come: asyncio sees to it only where a socket says that it is TCP. This one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
