"""`inboxsync serve`: the HTTP service, and a worker with it."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Annotated

import structlog
import typer

from inboxsync.cli.exposed import warn_exposed
from inboxsync.cli.output import stdout
from inboxsync.cli.process import asked_to_end, open_engine, set_for_syncing
from inboxsync.cli.worker import keep_worker
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, SettingsInvalid
from inboxsync.store.state.credentials import list_api_keys

log = structlog.get_logger("inboxsync.serve")

_BACKLOG = 2048
# Running batches have this time to be stored.
_DRAIN_SECONDS = 8.0


class ServeFailed(InboxsyncError):
    """The service cannot listen."""

    code = "serve_failed"


def serve(
    *,
    host: Annotated[
        str, typer.Option(help="Where to listen. Any address but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Start no worker: separate ones execute the runs.")
    ] = False,
) -> None:
    """Serve the dashboard and the API over HTTP. A worker starts and ends with it.

    Without an API key it only answers this machine, and refuses to listen on other addresses.
    SIGTERM ends it within ten seconds. Open runs continue at the next start.
    """
    with open_engine() as engine:
        serve_until_asked(engine, host=host, port=port, has_worker=not no_worker)


def serve_until_asked(engine: Engine, *, host: str, port: int, has_worker: bool) -> None:
    """Serve until a signal asks to end; the worker reads its settings from the environment."""
    _require_key(engine, host)
    warn_exposed(engine)
    with _listen(host, port) as listener:
        stdout().print(f"The dashboard: {_url(listener)}/  (Ctrl-C ends it)")
        asyncio.run(_serve(engine, listener, host=host, has_worker=has_worker))


async def _serve(engine: Engine, listener: socket.socket, *, host: str, has_worker: bool) -> None:
    # Imported here: a sync needs no server.
    from inboxsync.api import create_app  # noqa: PLC0415
    from inboxsync.api.middleware import Server  # noqa: PLC0415
    from inboxsync.web import mount_dashboard  # noqa: PLC0415
    from inboxsync.workers import RunQueue  # noqa: PLC0415

    queue = RunQueue(engine)
    app = create_app(engine, queue=queue, names=frozenset({host.lower()}))
    mount_dashboard(app)
    server = Server(app, trusted_proxies=engine.settings.trusted_proxies)
    asked, draining = asked_to_end(), asyncio.Event()
    parts = [asyncio.create_task(server.run_on(listener))]
    if has_worker:
        parts.append(asyncio.create_task(keep_worker(draining, drain_seconds=_DRAIN_SECONDS)))
    set_for_syncing(stays=True)
    log.info("serving", url=_url(listener), worker=has_worker)
    await asyncio.wait({asked, *parts}, return_when=asyncio.FIRST_COMPLETED)
    log.info("ending")
    server.end()
    draining.set()
    await asyncio.gather(*parts)  # together: streams end while running batches are stored
    log.info("ended")


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def _require_key(engine: Engine, host: str) -> None:
    """Raises SettingsInvalid where other machines would need no key."""
    with engine.store.read() as connection:
        has_key = any(key.revoked_at is None for key in list_api_keys(connection))
    if has_key or engine.settings.api_key is not None or _is_loopback(host):
        return
    raise SettingsInvalid(
        f"Without an API key everyone who reaches {host} could read every conversation, so it is not served.",
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
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not an address"
        raise ServeFailed(
            f"{host} port {port} cannot be listened on: {why}.", hint="Take another --host or --port."
        ) from None
    # Connections inherit it. Without it the second half of an answer waits 40 ms until the client has
    # confirmed the first: asyncio only sets it on sockets that say they are TCP, and this one does not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
