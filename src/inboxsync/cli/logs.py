"""Where log lines go and what they look like: stderr, console or JSON."""

import logging
import sys
from typing import Literal

import structlog


def configure_library_logs(log_format: Literal["console", "json"]) -> None:
    """Have what libraries warn of (the server, the queue) look like our own lines."""
    handler = logging.StreamHandler(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(log_format, colors=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def configure_logs(log_format: Literal["console", "json"]) -> None:
    """Set up structlog for this process."""
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


def _rendering(
    log_format: Literal["console", "json"], *, colors: bool
) -> tuple[structlog.typing.Processor, ...]:
    """The last steps of a line. A traceback tells where, and no values: they may hold a token."""
    if log_format == "json":
        return structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),)
