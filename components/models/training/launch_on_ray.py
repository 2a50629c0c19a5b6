"""A tune in several processes of a Ray cluster, on one machine or on several."""

import socket
import time
from collections.abc import Callable
from typing import Any

from components.compute.ahead import WorkerDiedError
from components.compute.ray_errors import SentError, pack_error, unpack_error
from components.compute.ray_worker import Place, WorkerPlaceError, enter
from components.models.training.group_member import Member, Message, Told, tune_as_member
from components.models.training.train import TuneJob, TuneResult
from components.models.training.training_log import TrainingLogRow

_STARTING_SECONDS = 600  # that the cluster has to find room for all processes, and to start them
_LOOKING_SECONDS = 0.5  # between two looks at what they have told
_SETTLING_SECONDS = 2.0  # that the others have to say what happened to them, once one has ended badly


def launch_on_ray(
    job: TuneJob, *, place: Place, processes: int, cpus: float, gpus: bool, on_log: Callable[[TrainingLogRow], None]
) -> TuneResult:
    """Tune in several processes of the Ray cluster that this process has joined.

    Args:
        job: what to tune.
        place: what each of the machines must find.
        processes: how many.
        cpus: that each takes.
        gpus: each takes one too.
        on_log: called in this process.

    Returns:
        What the first of them returned.

    Raises:
        WorkerDiedError: one died, or the cluster has no room for all.
        WorkerPlaceError: a machine lacks what the job reads from, or has other code.
        Exception: what the first one that failed raised.
    """
    import ray
    from ray.util.queue import Queue

    messages = Queue(actor_options={"num_cpus": 0})
    actor = ray.remote(_Process).options(num_cpus=cpus, num_gpus=int(gpus), max_restarts=0)
    actors = [actor.remote() for _ in range(processes)]
    try:
        ready = ray.get([one.enter.remote(place) for one in actors], timeout=_STARTING_SECONDS)
        for one in ready:
            if isinstance(one, SentError):
                raise unpack_error(one)
        members = [Member(rank, processes, 0, f"tcp://{ready[0]}") for rank in range(processes)]
        asked = [one.tune.remote(job, member, messages) for one, member in zip(actors, members, strict=True)]
        return _follow(ray, asked, messages, Told(on_log))
    except ray.exceptions.GetTimeoutError as error:
        raise WorkerDiedError(
            f"the Ray cluster started no {processes} processes to tune in within {_STARTING_SECONDS} s (`ray status` "
            "says what it has and what is asked of it); lower tuning.processes, or add machines"
        ) from error
    except ray.exceptions.RayActorError as error:
        raise WorkerDiedError(
            f"one of the {processes} processes that share the tune on the Ray cluster died, for want of memory or "
            "with its machine; lower tuning.batch_size, or see that the machines are up. Started again, it continues "
            "at its newest checkpoint"
        ) from error
    finally:
        for one in actors:
            ray.kill(one)
        messages.shutdown(force=True)


def _follow(ray: Any, asked: list[Any], messages: Any, told: Told) -> TuneResult:
    """Take the messages until all processes have ended, or one has ended badly."""
    deadline: float | None = None
    while asked and (deadline is None or time.monotonic() < deadline):
        ended, asked = ray.wait(asked, num_returns=len(asked), timeout=_LOOKING_SECONDS)
        for message in messages.get_nowait_batch(messages.qsize()):
            told.hear(message)
        ray.get(ended)
        if told.failures and deadline is None:
            deadline = time.monotonic() + _SETTLING_SECONDS
    return told.outcome()


class _Process:
    """A process of the cluster."""

    def enter(self, place: Place) -> str | SentError:
        """Go into the project's folder, and say where the others can meet this process."""
        from ray.util import get_node_ip_address

        try:
            enter(place)
        except WorkerPlaceError as error:
            return pack_error(error)
        with socket.socket() as free:
            free.bind(("", 0))
            return f"{get_node_ip_address()}:{free.getsockname()[1]}"

    def tune(self, job: TuneJob, member: Member, messages: Any) -> None:
        """Do the member's part."""

        def send(message: Message) -> None:
            messages.put(message)

        tune_as_member(job, member, send)
