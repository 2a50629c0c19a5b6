"""Ending a run from outside, and Prefect's embedded server: one that outlived a killed run is ended by the next."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

import psutil

logger = logging.getLogger(__name__)
# Within these a run settles what it has in flight. Then it ends whatever it waits for: the signal may have gone to the
# embedded server too, and Prefect asks a server that is gone for minutes.
_GRACE_SECONDS = 15.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []  # signals that asked this process to end
SERVER_MODULE = "prefect.server.api.server:create_app"
# In the environment of a server: the process that started it. Where presel is process 1, as in a container, what it
# started has the same parent as what a killed run left.
STARTER_VARIABLE = "PRESEL_SERVER_OF"


def end_on_termination() -> None:
    """Turn SIGTERM into a normal exit, at which what this process has started is ended."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def end_on_signals() -> None:
    """Make Ctrl-C, SIGTERM and a terminal that is closed end the run in seconds, with what is in flight settled.

    It is settled as far as it comes back. What whoever started this has it ignore, as `nohup` does, stays ignored.

    While a flow runs Prefect puts a handler of its own in this one's place, which first tells its server. So the signal
    is also seen by a thread that nobody can take it from.
    """

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one would cut the settling short
        _note(number)
        sys.exit(128 + number)

    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)
    arrived, notes = socket.socketpair()
    notes.setblocking(False)
    signal.set_wakeup_fd(notes.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_end_when_told, args=(arrived,), name="end", daemon=True).start()


def leave_if_interrupted() -> None:
    """End the process with the signal's exit code, if one has come: whatever was raised since is its consequence."""
    if _received:
        _end_now(128 + _received[0])


def _note(number: int) -> None:
    if not _received:
        _received.append(number)
        logging.disable()  # what follows is the talk of libraries that miss the server
        kept = "Finished stages and everything bought are kept; the same command continues from here."
        with suppress(OSError):  # the terminal may be gone
            sys.stderr.write(f"\npresel: interrupted, ending. {kept}\n")


def _end_when_told(arrived: socket.socket) -> None:
    while (number := arrived.recv(1)[0]) not in _ENDING:
        pass
    _note(number)
    time.sleep(_GRACE_SECONDS)
    _end_now(128 + number)


def _end_now(code: int) -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a pipe whose reader is gone
            stream.flush()
    os._exit(code)


def name_server_after_this_process() -> None:
    """Let a server that this process starts say whose it is."""
    os.environ[STARTER_VARIABLE] = str(os.getpid())


def end_orphaned_servers(prefect_home: str) -> int:
    """End embedded servers of this project whose run was killed with SIGKILL and could not end them.

    A server whose starter's number another process has now is left alone: better one too many than one too few.

    Args:
        prefect_home: `PREFECT_HOME` of the project; servers of other homes are left alone.

    Returns:
        Servers ended.
    """
    ended = 0
    for process in psutil.process_iter():
        try:
            orphaned = process.ppid() == 1 and process.uids().real == os.getuid()
            if not orphaned or SERVER_MODULE not in process.cmdline():
                continue
            environment = process.environ()
            starter = int(environment.get(STARTER_VARIABLE, "0"))
            if environment.get("PREFECT_HOME") == prefect_home and not (starter and psutil.pid_exists(starter)):
                process.terminate()
                ended += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    if ended:
        logger.info("ended %d Prefect server(s) that a killed run had left", ended)
    return ended
