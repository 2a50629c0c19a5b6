"""A tune in several processes of this machine, each with a GPU or a part of the cores, and what they tell this one."""

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from components.compute.ahead import WorkerDiedError, obey_parent
from components.models.training.train import TuneJob, TuneResult, train
from components.models.training.training_log import TrainingLogRow

_SETTLING_SECONDS = 2.0  # that the other processes have to say what happened to them, once one has ended badly


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a process ended, and when: what went wrong first made the others fail."""

    error: Exception
    when: float


@dataclass(frozen=True, slots=True)
class _Child:
    rank: int
    process: SpawnProcess
    messages: Connection


def launch(job: TuneJob, *, processes: int, on_log: Callable[[TrainingLogRow], None]) -> TuneResult:
    """Tune in several processes of this machine.

    torchrun does the same, but takes over the signals of the process it is called in, listens on all addresses, and
    its children outlive it when it is killed. These find each other by a file, talk on the loopback device, and end
    with this process however it ends.

    Args:
        job: what to tune.
        processes: how many; on GPUs, process N takes the N-th visible one.
        on_log: called in this process.

    Returns:
        What the first of them returned.

    Raises:
        WorkerDiedError: one was killed.
        Exception: what the first one that failed raised.
    """
    context = multiprocessing.get_context("spawn")  # a forked child of a process with threads or CUDA may hang
    with tempfile.TemporaryDirectory(prefix="presel-tune-") as folder:
        children: list[_Child] = []
        try:
            for rank in range(processes):
                receiver, sender = context.Pipe(duplex=False)
                arguments = (job, rank, processes, Path(folder) / "meeting", sender)
                process = context.Process(target=_run, args=arguments, name=f"tune-{rank}", daemon=True)
                process.start()
                sender.close()
                children.append(_Child(rank, process, receiver))
            return _follow(children, on_log)
        finally:
            for child in children:
                child.process.kill()  # what they leave unfinished is not taken for finished
            for child in children:
                child.process.join()
                child.messages.close()


def _follow(children: list[_Child], on_log: Callable[[TrainingLogRow], None]) -> TuneResult:
    """Take the processes' messages until all have ended, or one has ended badly."""
    result: TuneResult | None = None
    failures: list[_Failure] = []
    killed: list[_Child] = []
    talking = {child.messages: child for child in children}
    deadline: float | None = None
    while talking and (deadline is None or time.monotonic() < deadline):
        for connection in wait(list(talking), None if deadline is None else _SETTLING_SECONDS):
            assert isinstance(connection, Connection)
            try:
                message = connection.recv()
            except EOFError:
                child = talking.pop(connection)
                child.process.join()
                if child.process.exitcode:
                    killed.append(child)
                continue
            match message:
                case TrainingLogRow():
                    on_log(message)
                case logging.LogRecord():
                    logging.getLogger(message.name).handle(message)
                case TuneResult():
                    result = message
                case _Failure():
                    failures.append(message)
        if (failures or killed) and deadline is None:
            deadline = time.monotonic() + _SETTLING_SECONDS
    if killed:
        raise WorkerDiedError(_describe(killed[0], len(children)))
    if failures:
        raise min(failures, key=lambda failure: failure.when).error
    assert result is not None  # the first process sends it before it ends well
    return result


def _describe(child: _Child, processes: int) -> str:
    code = child.process.exitcode or 0
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return (
        f"process {child.rank + 1} of the {processes} that share the tune {ended}, most likely for want of memory, of "
        "which each needs its own; lower tuning.processes or tuning.batch_size, or give the machine more. Started "
        "again, it continues at its newest checkpoint"
    )


def _run(job: TuneJob, rank: int, processes: int, meeting: Path, messages: Connection) -> None:
    """What a child does: tune, and send rows, log records and the result, or why there is none."""
    obey_parent()
    _listen_to(rank, messages)
    try:
        result = _train_in_group(job, rank, processes, meeting, on_log=messages.send)
    except Exception as error:  # noqa: BLE001 -- raised again in the parent
        messages.send(_Failure(_portable(error), time.monotonic()))
    else:
        if rank == 0:
            messages.send(result)


def _train_in_group(
    job: TuneJob, rank: int, processes: int, meeting: Path, *, on_log: Callable[[TrainingLogRow], None]
) -> TuneResult:
    import torch
    import torch.distributed as dist

    from components.models.device import resolve_device

    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in place.items()})  # as torchrun does, for accelerate
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback is not None:
        os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    on_gpu = resolve_device(job.vlm.device, parameter="vlm.device").type == "cuda"
    if on_gpu:
        torch.cuda.set_device(rank)
    else:
        threads = max(1, torch.get_num_threads() // processes)
        torch.set_num_threads(threads)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # where accelerate looks
    dist.init_process_group(
        "cuda:nccl,cpu:gloo" if on_gpu else "gloo",
        init_method=meeting.absolute().as_uri(),
        rank=rank,
        world_size=processes,
    )
    try:
        return train(job, on_log=on_log)
    finally:
        dist.destroy_process_group()


class _ToParent(logging.Handler):
    """Hands log records to the parent, which has the handlers."""

    def __init__(self, messages: Connection) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, its text made, as what it is made of may not be sendable."""
        self._messages.send(logging.makeLogRecord({**record.__dict__, "msg": record.getMessage(), "args": None}))


def _listen_to(rank: int, messages: Connection) -> None:
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()
    if rank:  # the first process says the same
        logging.disable(logging.WARNING)
        return
    project = logging.getLogger("components")
    project.setLevel(logging.INFO)
    project.addHandler(_ToParent(messages))
    project.propagate = False


def _portable(error: Exception) -> Exception:
    """The error with its traceback in words, or those alone where it cannot be sent."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- made in the same line
    except Exception:  # noqa: BLE001 -- whatever a foreign class raises
        return RuntimeError("".join(traceback.format_exception_only(error)).strip())
    return error
