"""Versions that the DVC remote did not take: a run does not fail for them, a later one sends them."""

import fcntl
import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.lineage.lock_file import parse_lock
from components.storage import read_json, write_json
from tasks.platform.dvc_objects import RemoteAwayError, push_hashes
from tasks.platform.workspace import STATE, Workspace

logger = logging.getLogger("presel.remote")
UNPUSHED = STATE / "unpushed.json"
_ASK_AGAIN_SECONDS = 60.0


@dataclass
class _Remote:
    """What this process knows of the remote; the time is of the monotonic clock."""

    away: float | None = None


_remote = _Remote()


def push_or_remember(hashes: Collection[str]) -> None:
    """Copy versions to the DVC remote; while it is away, note that it has to be done.

    Args:
        hashes: DVC's md5 of folders.
    """
    if _remote.away is not None and time.monotonic() - _remote.away < _ASK_AGAIN_SECONDS:
        remember(hashes)
        return
    try:
        push_hashes(hashes)
        _remote.away = None
    except RemoteAwayError as error:
        if _remote.away is None:
            logger.warning("the DVC remote cannot be reached (%s); the run goes on, its end tries again", error)
        _remote.away = time.monotonic()
        remember(hashes)


def push_run(workspace: Workspace) -> int:
    """Copy the versions of a run, and those that earlier runs could not, to the DVC remote.

    Returns:
        Files copied.

    Raises:
        RemoteAwayError: the remote cannot be reached, or did not take everything.
    """
    earlier = unpushed()
    copied = push_hashes({*_written(workspace), *earlier})
    # Another run may have noted more meanwhile: only what was sent is struck out.
    with _alone():
        left = sorted(set(unpushed()) - set(earlier))
        write_json(UNPUSHED, left) if left else UNPUSHED.unlink(missing_ok=True)
    _remote.away = None
    return copied


def remember_run(workspace: Workspace) -> int:
    """Note that the versions of a run have to be pushed.

    Returns:
        How many versions wait now.
    """
    remember(_written(workspace))
    return len(unpushed())


def remember(hashes: Collection[str]) -> None:
    """Note versions for the next run."""
    with _alone():
        write_json(UNPUSHED, sorted({*unpushed(), *hashes}))


@contextmanager
def _alone() -> Iterator[None]:
    """Two runs of the project may end at the same moment."""
    lock = STATE / "locks" / "unpushed"  # workspaces have a folder of their own there
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def unpushed() -> tuple[str, ...]:
    """The versions that wait."""
    advice = "delete it, and copy what it named with `dvc push`"
    return tuple(read_json(UNPUSHED, advice=advice)) if UNPUSHED.exists() else ()


def _written(workspace: Workspace) -> set[str]:
    stages = parse_lock(workspace.lock_file.read_text(encoding="utf-8"))
    return {output.md5 for stage in stages for output in stage.writes}
