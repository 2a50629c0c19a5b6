"""A Prefect server that is away for a while: a stage waits for its place instead of failing."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from httpx import HTTPStatusError, TransportError
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

logger = logging.getLogger("presel.prefect")
# Prefect's client repeats its requests by itself, but not the first one of a connection, and asking for a share of the
# GPU or the API is such a one. The same pauses as the client's with the retries that `flows.environment` sets.
PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SERVER_ERROR = 500
R = TypeVar("R")


def when_it_is_there(submit: Callable[[], R]) -> R:
    """Run a task; when the server cannot be asked for its share of a concurrency limit, ask again for four minutes.

    Args:
        submit: runs the task; nothing of it has begun when the share could not be had.

    Returns:
        What the task returns.

    Raises:
        ConcurrencySlotAcquisitionError: the server stayed away, or refused.
    """
    for pause in PAUSES:
        try:
            return submit()
        except ConcurrencySlotAcquisitionError as error:
            if not _is_away(error.__cause__):
                raise
            logger.warning("the Prefect server does not answer; the next stage waits for it (%.0f s)", pause)
            time.sleep(pause)
    return submit()


def _is_away(cause: BaseException | None) -> bool:
    if isinstance(cause, HTTPStatusError):
        return cause.response.status_code >= _SERVER_ERROR
    return isinstance(cause, TransportError)
