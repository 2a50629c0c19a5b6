"""The Ray cluster of this process: its own on this machine, or one that it joins."""

import importlib.util
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.compute.processes import usable_cores
from components.errors import UserError
from components.parameters.compute import ComputeParameters

_log = logging.getLogger(__name__)

_FEWEST_CORES = 2  # that a cluster of this machine's own tells of: one for a model, one that decodes for it
# Unix sockets lie below it, whose names may take 107 bytes; Ray's own part of them takes up to 75.
_LONGEST_FOLDER = 30
# What machines of a cluster that was there before cannot know. Credentials are theirs to have: what is handed on here
# can be read in the cluster's state.
_HANDED_ON = ("HF_HOME", "HF_HUB_OFFLINE", "OMP_WAIT_POLICY", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY")
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # A task that is ended for want of memory is tried again so often; Ray's default is for ever.
    "RAY_task_oom_retries": "2",
}
_SETTINGS_OF_OUR_OWN = {
    # Everything listens on the loopback address alone. Meant for other systems, so a test looks at the sockets.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",  # as it is by default, of which Ray tells in every run where it is not asked for
}


class RayMissingError(UserError, ImportError):
    """The extra is not installed."""


class ClusterError(UserError, RuntimeError):
    """There is no such cluster, or it is not fit."""


@dataclass(slots=True)
class _Joined:
    """Attributes: folder: of a cluster of our own; None: of others' cluster."""

    folder: Path | None


_joined: list[_Joined] = []


def check_installed() -> None:
    """Make sure that Ray is there.

    Raises:
        RayMissingError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise RayMissingError(
            "compute.engine is ray, and Ray is not installed here: pip install -c constraints.txt '.[ray]', or set "
            "compute.engine to local"
        )


def join(parameters: ComputeParameters) -> Any:
    """Start a cluster, or join the one that the parameters name; once per process.

    Returns:
        The module `ray`, connected.

    Raises:
        RayMissingError: it is not installed.
        ClusterError: nothing answers at the address.
    """
    check_installed()
    os.environ |= {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    if parameters.address is None:
        os.environ |= _SETTINGS_OF_OUR_OWN
    import ray  # reads its settings at its import

    if ray.is_initialized():  # by this function, or by who runs this code inside a job
        return ray
    folder = None if parameters.address else _own_folder()
    with _handlers_kept():
        try:
            if folder is not None:
                cores = max(_FEWEST_CORES, usable_cores())
                ray.init("local", num_cpus=cores, include_dashboard=False, _temp_dir=str(folder), **_QUIET)
            else:
                handed = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
                ray.init(parameters.address, runtime_env={"env_vars": handed}, **_QUIET)
        except (ConnectionError, RuntimeError, ValueError) as error:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            what = parameters.address or "of this machine's own"
            raise ClusterError(
                f"compute.address: no Ray cluster {what} ({first_line(error)}); `ray status` on a machine of the "
                "cluster says whether it is up, and driver and cluster must have the same Ray and Python"
            ) from error
    _joined.append(_Joined(folder))
    _log.info("Ray: %s", _described(ray, own=folder is not None))
    return ray


_QUIET = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}


def leave() -> None:
    """End the cluster that `join` started, or part from the one it joined; nothing where it did neither."""
    while _joined:
        left = _joined.pop()
        import ray

        ray.shutdown()
        if left.folder is not None:
            shutil.rmtree(left.folder, ignore_errors=True)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and with it the settling of what is in flight."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _own_folder() -> Path:
    """A folder for the files of a cluster, in the project where its name is short enough."""
    state = Path(".presel").resolve()
    parent = state / "ray" if len(str(state)) + len("/ray/12345678") <= _LONGEST_FOLDER and state.is_dir() else None
    if parent is not None:
        parent.mkdir(exist_ok=True)
    parent = parent or Path(tempfile.gettempdir())
    return Path(tempfile.mkdtemp(prefix="ray-", dir=parent))


def _described(ray: Any, *, own: bool) -> str:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    total = ray.cluster_resources()
    kind = "a cluster of its own" if own else "a cluster"
    return f"{kind} of {len(nodes)} machine(s), {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"


def first_line(error: BaseException) -> str:
    """An error's class and the beginning of its text."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
