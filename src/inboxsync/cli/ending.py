"""How a process that goes on for ever is asked to end."""

import asyncio
import signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def asked_to_end() -> asyncio.Future[None]:
    """Done when a signal asks this process to end; another one, of whatever kind, ends it at once.

    At once: Python's own answer to Ctrl-C would wait for every thread, and so for a database that is locked.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        if asked.done():  # both came before the loop looked
            signal.raise_signal(number)
            return
        asked.set_result(None)
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)

    for each in _SIGNALS:
        loop.add_signal_handler(each, ask, each)
    return asked
