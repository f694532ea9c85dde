"""How a process that goes on for ever is asked to end."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def asked_to_end(*, lifeline: int | None = None) -> asyncio.Future[None]:
    """Done when a signal asks this process to end; another one, of whatever kind, ends it at once.

    At once: Python's own answer to Ctrl-C would wait for every thread, and so for a database that is locked.
    `lifeline` is the end of a pipe whose other end is held by the process that this one serves: a byte from
    there asks too, and is no first signal: what asks that process to end may reach this one a little later.
    When the pipe breaks this process ends at once, as that one has.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not asked.done():
            asked.set_result(None)

    def ask(number: signal.Signals) -> None:
        if signal.getsignal(number) is signal.SIG_DFL:  # both came before the loop looked
            signal.raise_signal(number)
            return
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        end()

    for each in _SIGNALS:
        loop.add_signal_handler(each, ask, each)
    if lifeline is not None:
        hold = Thread(target=_hold, args=(lifeline, lambda: loop.call_soon_threadsafe(end)), daemon=True)
        hold.start()
    return asked


def _hold(lifeline: int, end: Callable[[], object]) -> None:
    # In a thread of its own: it must notice whatever the loop is at.
    while os.read(lifeline, 1):
        with suppress(RuntimeError):  # the loop has ended already
            end()
    os._exit(1)
