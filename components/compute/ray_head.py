"""Watching the head of a cluster: when it is gone, Ray ends the process after a minute without a word of what to do."""

import logging
import os
import signal
import socket
import threading

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN = 5.0
_LOOKS = 8  # without an answer, one after the other: 40 seconds, before Ray's 60 are over


def watch_head(address: str) -> threading.Event:
    """Look whether the head answers, and end this process as SIGTERM does when it no longer does.

    What a run has in flight is settled then as for any other SIGTERM, and its state is told.

    Args:
        address: HOST:PORT of the head.

    Returns:
        To be set when nobody needs the head any more; set by the watcher when it is gone.
    """
    ended = threading.Event()
    threading.Thread(target=_watch, args=(address, ended), name="watch-head", daemon=True).start()
    return ended


def _watch(address: str, ended: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    silent = 0
    while not ended.wait(_SECONDS_BETWEEN):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_BETWEEN).close()
            silent = 0
        except OSError:
            silent += 1
        if silent == _LOOKS:
            ended.set()
            _log.error(
                "the head of the Ray cluster at %s is gone. Start the cluster (`ray start --head`, docs/scale.md), and "
                "run again: what has been answered is kept, and the run goes on from there",
                address,
            )
            os.kill(os.getpid(), signal.SIGTERM)
