"""The Prefect server: whether it is there and lets this project in; a stage waits for its place when it is away."""

import logging
import os
import time
from collections.abc import Callable
from typing import TypeVar

from httpx import HTTPStatusError, TransportError
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError

from components.errors import UserError

logger = logging.getLogger("presel.prefect")
# Prefect's client repeats its requests by itself, but not the first one of a connection, and asking for a share of the
# GPU or the API is such a one. The same pauses as the client's with the retries that `flows.environment` sets.
PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SERVER_ERROR = 500
_DENIED = frozenset({401, 403})
R = TypeVar("R")


class PrefectServerError(UserError, RuntimeError):
    """The Prefect server that is named does not answer, or does not let this project in."""


def check_server() -> None:
    """Ask the server of `PREFECT_API_URL`, when one is named, whether this project may use it.

    Raises:
        PrefectServerError: it does not answer, or refuses the credentials.
    """
    address = os.environ.get("PREFECT_API_URL", "")
    if not address:
        return
    try:
        with get_client(sync_client=True) as client:
            client.request("GET", "/admin/version")
    except TransportError as error:
        raise PrefectServerError(
            f"the Prefect server at {address} (PREFECT_API_URL) does not answer: start it (`presel ui` or `make stack` "
            f"serve one), correct the address, or unset PREFECT_API_URL to run without a server. [{error}]"
        ) from error
    except HTTPStatusError as error:
        status = error.response.status_code
        if status not in _DENIED:
            raise PrefectServerError(
                f"what answers at {address} (PREFECT_API_URL) is not a Prefect server that works: HTTP {status}. "
                "Correct the address (it ends in /api), or look at the server's log"
            ) from error
        raise PrefectServerError(
            f"the Prefect server at {address} (PREFECT_API_URL) refuses this project (HTTP {status}): set "
            "PREFECT_API_AUTH_STRING to user:password, as the server has it (beside `make stack`: source its "
            "client.env), or PREFECT_API_KEY for Prefect Cloud"
        ) from error


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
