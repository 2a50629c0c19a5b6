"""The Prefect server: whether it is there and lets this project in; a stage waits for its place when it is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from httpx import HTTPStatusError, InvalidURL, TransportError
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.settings import get_current_settings

from components.errors import UserError

logger = logging.getLogger("presel.prefect")
# Prefect's client repeats its requests by itself, but not the first one of a connection, and asking for a share of the
# GPU or the API is such a one. The same pauses as the client's with the retries that `flows.environment` sets.
PAUSES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SERVER_ERROR = 500
_DENIED = frozenset({401, 403})
_NAMED = "(PREFECT_API_URL, in the environment, .env, prefect.toml or a Prefect profile: `prefect config view` says)"
R = TypeVar("R")


class PrefectServerError(UserError, RuntimeError):
    """The Prefect server that is named does not answer, or does not let this project in."""


def server_address() -> str:
    """The server that Prefect takes, wherever it is named; empty when none is, and a run starts its own.

    Prefect's settings come from the environment, `.env`, prefect.toml, pyproject.toml and the profile in use.
    """
    return get_current_settings().api.url or ""


def check_server() -> None:
    """Ask the server that Prefect's settings name, when they name one, whether this project may use it.

    Raises:
        PrefectServerError: it does not answer, or refuses the credentials.
    """
    address = server_address()
    if not address:
        return
    try:
        with get_client(sync_client=True) as client:
            client.request("GET", "/admin/version")
    except (TransportError, InvalidURL) as error:
        raise PrefectServerError(
            f"the Prefect server at {address} {_NAMED} does not answer: start it (`presel ui` or `make stack` serve "
            f"one), correct the address, or unset it to run without a server. [{error}]"
        ) from error
    except HTTPStatusError as error:
        status = error.response.status_code
        if status not in _DENIED:
            raise PrefectServerError(
                f"what answers at {address} {_NAMED} is not a Prefect server that works: HTTP {status}. "
                "Correct the address (it ends in /api), or look at the server's log"
            ) from error
        raise PrefectServerError(
            f"the Prefect server at {address} {_NAMED} refuses this project (HTTP {status}): set "
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
