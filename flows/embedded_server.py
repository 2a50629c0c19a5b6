"""Prefect's embedded server: one that outlived a killed run is ended by the next."""

import logging
import os
import signal
import sys
from types import FrameType

import psutil

logger = logging.getLogger(__name__)
SERVER_MODULE = "prefect.server.api.server:create_app"


def end_on_termination() -> None:
    """Turn SIGTERM into a normal exit, at which Prefect ends its embedded server."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def end_orphaned_servers(prefect_home: str) -> int:
    """End embedded servers of this project whose run was killed with SIGKILL and could not end them.

    Args:
        prefect_home: `PREFECT_HOME` of the project; servers of other homes are left alone.

    Returns:
        Servers ended.
    """
    ended = 0
    for process in psutil.process_iter():
        try:
            orphaned = process.ppid() == 1 and process.uids().real == os.getuid()
            if (
                orphaned
                and SERVER_MODULE in process.cmdline()
                and process.environ().get("PREFECT_HOME") == prefect_home
            ):
                process.terminate()
                ended += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    if ended:
        logger.info("ended %d Prefect server(s) that a killed run had left", ended)
    return ended
