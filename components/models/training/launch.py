"""A tune in several processes of this machine, each with a GPU or a part of the cores."""

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from components.compute.ahead import WorkerDiedError, obey_parent
from components.models.training.group_member import Member, Told, tune_as_member
from components.models.training.train import TuneJob, TuneResult
from components.models.training.training_log import TrainingLogRow

_SETTLING_SECONDS = 2.0  # that the other processes have to say what happened to them, once one has ended badly


@dataclass(frozen=True, slots=True)
class _Child:
    rank: int
    process: SpawnProcess
    messages: Connection


def launch(job: TuneJob, *, processes: int, on_log: Callable[[TrainingLogRow], None]) -> TuneResult:
    """Tune in several processes of this machine.

    torchrun's launcher would take over the signals of the process it is called in. These processes leave them alone,
    find each other by a file, talk on the loopback device, and end with this process however it ends.

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
        meeting = (Path(folder).absolute() / "meeting").as_uri()
        children: list[_Child] = []
        try:
            for rank in range(processes):
                receiver, sender = context.Pipe(duplex=False)
                member = Member(rank, processes, rank, meeting)
                process = context.Process(target=_run, args=(job, member, sender), name=f"tune-{rank}", daemon=True)
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
    told = Told(on_log)
    killed: list[_Child] = []
    talking = {child.messages: child for child in children}
    deadline: float | None = None
    while talking and (deadline is None or time.monotonic() < deadline):
        for connection in wait(list(talking), None if deadline is None else _SETTLING_SECONDS):
            assert isinstance(connection, Connection)
            try:
                told.hear(connection.recv())
            except EOFError:
                child = talking.pop(connection)
                child.process.join()
                if child.process.exitcode:
                    killed.append(child)
        if (told.failures or killed) and deadline is None:
            deadline = time.monotonic() + _SETTLING_SECONDS
    if killed:
        raise WorkerDiedError(_describe(killed[0], len(children)))
    return told.outcome()


def _describe(child: _Child, processes: int) -> str:
    code = child.process.exitcode or 0
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return (
        f"process {child.rank + 1} of the {processes} that share the tune {ended}, most likely for want of memory, of "
        "which each needs its own; lower tuning.processes or tuning.batch_size, or give the machine more. Started "
        "again, it continues at its newest checkpoint"
    )


def _run(job: TuneJob, member: Member, messages: Connection) -> None:
    """What a child does."""
    obey_parent()
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback is not None:
        os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    threads = max(1, torch.get_num_threads() // member.size)
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # where accelerate looks
    tune_as_member(job, member, messages.send)
