"""What a command does to its own process: logs, the engine, signals, and how the interpreter is set."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import StringIO
from threading import Thread
from typing import Literal, TextIO

import structlog

from inboxsync.cli.output import escaped, print_problem
from inboxsync.engine import Engine
from inboxsync.settings import Settings, load_settings, misspelt_variables
from inboxsync.sync import Stop

_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Batches and answers are thousands of objects, and hardly one of them is in a reference cycle.
_NEW_OBJECTS = 20_000
# A thread that returns from the database waits this long for one that computes. Python's default is 5 ms, and
# a batch returns dozens of times.
_SWITCH_SECONDS = 0.001


@contextmanager
def open_engine(settings: Settings | None = None, *, warns: bool = True) -> Iterator[Engine]:
    """An engine with these settings, default: the environment's, for the length of a command.

    `warns`: of variables that look like settings and are none.
    """
    if warns:
        _warn_misspelt()
    chosen = settings or load_settings()
    configure_logs(chosen.log_format)
    engine = Engine(chosen)
    try:
        yield engine
    finally:
        engine.close()


@cache  # once in a process
def _warn_misspelt() -> None:
    """One line on stderr for each variable that looks like a setting and is none. Values are not shown."""
    for name, likely in misspelt_variables(os.environ).items():
        meant = f"did you mean {' or '.join(likely)}?" if likely else "the README lists them."
        print_problem(f"{name} is not the name of a setting: {meant}", "")


def configure_logs(log_format: Literal["console", "json"]) -> None:
    """Set up this process: our log lines, and what libraries log or warn of, in one format on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(log_format, colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        # Not bound to the present stderr: the progress bar replaces it to print above itself.
        # Each line in one write: a service and its worker write to the same place.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Libraries()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class _Libraries(logging.Handler):
    """Writes a line of ours for each line of a library.

    Without a handler Python prints what libraries warn of as bare text, which is no JSON.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log = structlog.get_logger().bind(logger=record.name)
            log.log(record.levelno, record.getMessage().strip(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - a log line must not fail the code that logs
            self.handleError(record)


def _rendering(
    log_format: Literal["console", "json"], *, colors: bool
) -> tuple[structlog.typing.Processor, ...]:
    """The last steps of a line. A traceback shows places but no values: they may hold a token."""
    if log_format == "json":
        return structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_write_traceback)
    return _escape_values, renderer


def _escape_values(
    _logger: structlog.typing.WrappedLogger, _name: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Paths, names, ids and texts of errors come from outside: none may control the terminal."""
    for key, value in line.items():
        if key == "exc_info" or isinstance(value, int | float | None):
            continue
        written = value if isinstance(value, str) else repr(value)
        safe = escaped(written)
        if safe != written:
            line[key] = safe
    return line


def _write_traceback(file: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    traceback = StringIO()
    structlog.dev.plain_traceback(traceback, exc_info)
    file.write("\n".join(map(escaped, traceback.getvalue().split("\n"))))


def set_for_syncing(*, stays: bool = False) -> None:
    """Set the interpreter for many threads and thousands of objects a second. Call it when all is loaded.

    What is loaded (modules, tables, routes, compiled queries) is hidden from the garbage collector: scanning
    it takes an eighth of a second, every second or two, and nothing else runs meanwhile. New objects are
    scanned less often. A process that `stays` collects once before.

    They change a whole process, so a program makes them, not the library. The benches make the same.
    """
    if stays:
        gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    sys.setswitchinterval(_SWITCH_SECONDS)


class Interrupted(Exception):
    """A signal asked a command to stop."""


@contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yields a function that raises Interrupted after SIGINT or SIGTERM: call it between two batches.

    A second signal ends the process at once; by SIGINT as a KeyboardInterrupt, so that files are removed.
    """
    is_asked = False

    def ask(number: int, _frame: object) -> None:
        nonlocal is_asked
        is_asked = True
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    def check() -> None:
        if is_asked:
            raise Interrupted

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_signals(stop: Stop) -> None:
    """The first signal of a kind ends runs at their next batch, the second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        stop.ask(f"{number.name} was received")
        loop.remove_signal_handler(number)
        signal.signal(number, _end_at_once)

    for number in _END_SIGNALS:
        loop.add_signal_handler(number, ask, number)


def _end_at_once(number: int, _frame: object) -> None:
    """A KeyboardInterrupt would wait for every thread, and end in the log of whatever it interrupts.

    What is stored is whole, and another process takes over the lease of one that is gone.
    """
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the progress bar hides the cursor
    os._exit(128 + number)


def asked_to_end(*, lifeline: int | None = None) -> asyncio.Future[None]:
    """For a process that runs forever: done when a signal asks it to end. Any second signal ends it at once.

    At once: Python's own reaction to Ctrl-C would wait for every thread, and so for a locked database.
    `lifeline` is the end of a pipe whose other end belongs to the process that this one serves. A byte from
    there asks too, but does not count as the first signal: the signal that ended that process may arrive here
    later. When the pipe breaks, that process is gone, and this one ends at once.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not asked.done():
            asked.set_result(None)

    def ask(number: signal.Signals) -> None:
        if signal.getsignal(number) is signal.SIG_DFL:  # both came before the loop handled the first
            signal.raise_signal(number)
            return
        for each in _END_SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        end()

    for each in _END_SIGNALS:
        loop.add_signal_handler(each, ask, each)
    if lifeline is not None:
        # A thread of its own: it must notice a broken pipe also when the loop is busy.
        watch = Thread(target=_watch, args=(lifeline, lambda: loop.call_soon_threadsafe(end)), daemon=True)
        watch.start()
    return asked


def _watch(lifeline: int, end: Callable[[], object]) -> None:
    while os.read(lifeline, 1):
        with suppress(RuntimeError):  # the loop has ended already
            end()
    os._exit(1)
