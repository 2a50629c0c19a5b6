"""What each of several processes does that tune together, and what it tells the one that started them."""

import logging
import os
import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from components.models.device import resolve_device
from components.models.training.train import TuneJob, TuneResult, train
from components.models.training.training_log import TrainingLogRow


@dataclass(frozen=True, slots=True)
class Member:
    """A process's place among those that tune together.

    Attributes:
        rank: which of them it is, from 0.
        size: how many there are.
        gpu: which of the GPUs that it sees is its own, from 0.
        meeting: where they find each other: file:// or tcp://.
    """

    rank: int
    size: int
    gpu: int
    meeting: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process ended, and when: what went wrong first made the others fail."""

    error: Exception
    when: float


Message = TrainingLogRow | logging.LogRecord | TuneResult | Failure


class Told:
    """What the members have told so far.

    Args:
        on_log: gets the rows of the training log.

    Attributes:
        result: of the first member, once it is there.
        failures: in the order in which they were heard.
    """

    def __init__(self, on_log: Callable[[TrainingLogRow], None]) -> None:
        self.result: TuneResult | None = None
        self.failures: list[Failure] = []
        self._on_log = on_log

    def hear(self, message: Message) -> None:
        """Pass a message on, or keep it."""
        match message:
            case TrainingLogRow():
                self._on_log(message)
            case logging.LogRecord():
                logging.getLogger(message.name).handle(message)
            case TuneResult():
                self.result = message
            case Failure():
                self.failures.append(message)

    def outcome(self) -> TuneResult:
        """The result, or what went wrong first.

        Raises:
            Exception: what a member raised.
        """
        if self.failures:
            raise min(self.failures, key=lambda failure: failure.when).error
        assert self.result is not None  # the first member sends it before it ends well
        return self.result


def tune_as_member(job: TuneJob, member: Member, send: Callable[[Message], None]) -> None:
    """Tune together with the other members.

    Args:
        job: the same for all.
        member: which of them this process is.
        send: gets what the first has to tell, and of any other why it failed.
    """
    _listen_to(member, send)
    try:
        result = _train_in_group(job, member, on_log=send)
    except Exception as error:  # noqa: BLE001 -- raised again by who started this process
        send(Failure(_portable(error), time.time()))
    else:
        if member.rank == 0:
            send(result)


def _train_in_group(job: TuneJob, member: Member, *, on_log: Callable[[TrainingLogRow], None]) -> TuneResult:
    # As torchrun does, for accelerate; which would look for a further address if it were told of several machines.
    place = {"RANK": member.rank, "LOCAL_RANK": member.gpu, "WORLD_SIZE": member.size, "LOCAL_WORLD_SIZE": member.size}
    os.environ.update({name: str(value) for name, value in place.items()})
    on_gpu = resolve_device(job.vlm.device, parameter="vlm.device").type == "cuda"
    if on_gpu:
        torch.cuda.set_device(member.gpu)
    backend = "cuda:nccl,cpu:gloo" if on_gpu else "gloo"
    dist.init_process_group(backend, init_method=member.meeting, rank=member.rank, world_size=member.size)
    try:
        return train(job, on_log=on_log)
    finally:
        dist.destroy_process_group()


class _Sent(logging.Handler):
    """Hands log records to the process that has the handlers."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, its text made, as what it is made of may not be sendable."""
        self._send(logging.makeLogRecord({**record.__dict__, "msg": record.getMessage(), "args": None}))


def _listen_to(member: Member, send: Callable[[Message], None]) -> None:
    disable_progress_bar()
    set_verbosity_error()
    if member.rank:  # the first says the same
        logging.disable(logging.WARNING)
        return
    project = logging.getLogger("components")
    project.setLevel(logging.INFO)
    project.addHandler(_Sent(send))
    project.propagate = False


def _portable(error: Exception) -> Exception:
    """The error with its traceback in words, or those alone where it cannot be sent."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 -- made in the same line
    except Exception:  # noqa: BLE001 -- whatever a foreign class raises
        return RuntimeError("".join(traceback.format_exception_only(error)).strip())
    return error
