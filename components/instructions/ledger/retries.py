"""Waiting for a ledger that is away: its server starts again, its disk is full, another program has it locked."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from components.instructions.ledger.ledger import Ledger, LedgerError, cause_of

_LOG = logging.getLogger(__name__)
# A server that starts again or a backup takes minutes; what is away for longer needs a person.
_LONGEST_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
T = TypeVar("T")


def with_retries(ledger: Ledger, action: Callable[[], T]) -> T:
    """Do something with the ledger, again with growing pauses while it is away.

    Threads that find it away wait together: the ten minutes count since it was last there, not for each anew.

    Args:
        ledger: which.
        action: may be done again when it failed, also when it came through and only the answer to its COMMIT was lost.

    Raises:
        LedgerError: the ledger stayed away for ten minutes.
        SQLAlchemyError: it will not take what was to be written, now or later.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            result = action()
        except (DBAPIError, PoolTimeoutError) as error:
            if is_about_the_data(error):  # so it is there
                ledger.absence.since = None
                raise
            now, since = time.monotonic(), ledger.absence.since
            if since is None:
                since = ledger.absence.since = now
                _LOG.warning("the ledger is away, waiting for it: %s", cause_of(error))
            waited = now - since
            if waited >= _LONGEST_SECONDS:
                raise LedgerError(
                    f"the ledger could not be written for {waited:,.0f} s ({cause_of(error)}). Run again when it is "
                    "there: what is recorded is kept, batches are collected, other requests in flight are named lost "
                    "and bought again"
                ) from error
        else:
            ledger.absence.since = None
            return result
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def is_about_the_data(error: Exception) -> bool:
    """Whether a write failed because of what was to be written, so that trying again changes nothing."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError | ProgrammingError) and not error.connection_invalidated
    return isinstance(error, StatementError | ValueError | TypeError | OverflowError)
