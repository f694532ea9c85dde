"""Says what goes wrong again and again, and once that it does no longer; and says what DBOS says as we do."""

import logging
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

log = structlog.get_logger(__name__)

_DBOS: Final = "dbos"


@dataclass(slots=True)
class Outage:
    """Something that is tried every second.

    A database that is away for an hour is told once, not 3,600 times.
    """

    going_wrong: str
    going_on: str
    _why: str | None = None

    def met(self, why: str) -> None:
        """It went wrong; said where that is new."""
        if why != self._why:
            log.warning(self.going_wrong, why=why)
        self._why = why

    def passed(self) -> None:
        """It went well; said where it had not."""
        if self._why is not None:
            log.info(self.going_on)
        self._why = None


class _SaidAsOurs(logging.Handler):
    """Writes a line of ours for each of DBOS's.

    Where the database was away it says so in hundreds of lines of traceback, for a workflow that is handed
    over anew anyway. Of a driver's error the type is told alone: its text may hold a statement's values.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        said = record.getMessage().strip().partition("\n")[0].rstrip(":")
        if error is None:
            log.warning("the queue has trouble", said=said)
        else:
            is_away = isinstance(error, DBAPIError)
            traceback = None if is_away else error
            log.warning("the queue has trouble", said=said, why=type(error).__name__, exc_info=traceback)


def say_what_dbos_says() -> None:
    """To be called before DBOS is made: it writes to stderr by itself where nobody else listens."""
    logger = logging.getLogger(_DBOS)
    logger.handlers[:] = [_SaidAsOurs(level=logging.ERROR)]
    logger.propagate = False
