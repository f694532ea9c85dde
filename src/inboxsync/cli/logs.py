"""Where log lines go and what they look like: stderr, console or JSON."""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(log_format: Literal["console", "json"]) -> None:
    """Set up this process: our log lines, and what libraries log or warn of, in one format."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(log_format, colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        # Not bound to today's stderr: the progress bar swaps it to print above itself.
        # A line in one piece: a service and its worker write to the same place.
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
    """The last steps of a line. A traceback tells where, and no values: they may hold a token."""
    if log_format == "json":
        return structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),)
