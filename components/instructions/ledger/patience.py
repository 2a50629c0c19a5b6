"""Waiting for a ledger that is away: its server starts again, its disk is full, another program has it locked."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from components.instructions.ledger.ledger import LedgerError
from components.instructions.ledger.unsettled import is_about_the_data

_LOG = logging.getLogger(__name__)
_PATIENCE_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
T = TypeVar("T")


class LedgerAwayError(LedgerError):
    """The ledger could not be written for as long as a purchase waits for it."""


def _is_away(error: SQLAlchemyError) -> bool:
    return isinstance(error, DBAPIError | PoolTimeoutError) and not is_about_the_data(error)


class Patience:
    """Tries again what fails because the ledger is away, for ten minutes since it was last there.

    Any thread may use it; several that find the ledger away wait together, not one after the other.
    """

    def __init__(self) -> None:
        self._away_since: float | None = None
        self._hurry = threading.Event()

    def hurry(self) -> None:
        """Wait no longer."""
        self._hurry.set()

    def until_done(self, action: Callable[[], T]) -> T:
        """Do something that may be done again when it failed.

        Raises:
            LedgerAwayError: the ledger stayed away.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                result = action()
            except SQLAlchemyError as error:
                if not _is_away(error):
                    raise
                now = time.monotonic()
                if self._away_since is None:
                    self._away_since = now
                    _LOG.warning("the ledger is away, waiting for it: %s", _said(error))
                if self._hurry.is_set() or now - self._away_since >= _PATIENCE_SECONDS:
                    raise LedgerAwayError(
                        f"the ledger could not be written for {now - self._away_since:,.0f} s ({_said(error)})"
                    ) from error
                self._hurry.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            else:
                if self._away_since is not None:
                    _LOG.warning("the ledger is back")
                self._away_since = None
                return result


def _said(error: SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
