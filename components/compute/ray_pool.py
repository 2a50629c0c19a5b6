"""Workers of a Ray cluster that hold a model and are given one list after the other."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from queue import SimpleQueue
from typing import Any

from components.compute.ahead import WorkerDiedError
from components.compute.engine import Item, Model, Pool, Result
from components.compute.ray_cluster import first_line, join
from components.compute.ray_errors import SentError, pack_error, unpack_error
from components.compute.ray_room import free_and_all, room_for_models
from components.compute.ray_rows import RETRIES
from components.compute.ray_worker import Place, enter
from components.parameters.compute import ComputeParameters

_log = logging.getLogger(__name__)


class PoolWorker:
    """An actor that loads its model when it is given its first list."""

    def __init__(self, place: Place, load: Callable[[], Any], work: Callable[[Any, Sequence[Any]], Any]) -> None:
        self._place = place
        self._model = cache(load)
        self._work = work

    def answer(self, items: Sequence[Any]) -> object:
        """What becomes of a list, or the error."""
        try:
            enter(self._place)
            return self._work(self._model(), items)
        except Exception as error:  # noqa: BLE001 -- raised again by the driver
            return pack_error(error)


@contextmanager
def open_pool(
    parameters: ComputeParameters,
    place: Place,
    load: Callable[[], Model],
    work: Callable[[Model, Sequence[Item]], Result],
    *,
    name: str,
) -> Iterator[Pool[Item, Result]]:
    """See `components.compute.engine.Engine.pool`; `compute.model` says how many workers there are.

    Args:
        parameters: of the cluster.
        place: what a worker must find.
        load: the model.
        work: of a list.
        name: what it does.

    Raises:
        ClusterError: there is no cluster, or it has no room for a worker.
    """
    ray = join(parameters)
    room = room_for_models(ray, parameters)
    start = partial(
        ray.remote(PoolWorker)
        .options(num_cpus=room.takes.cpus, num_gpus=room.takes.gpus or None, max_restarts=0, max_task_retries=0)
        .remote,
        place,
        load,
        work,
    )
    idle: SimpleQueue[Any] = SimpleQueue()  # None: not started, or ended
    for _ in range(room.workers):
        idle.put(None)
    started: list[Any] = []
    closed = threading.Event()

    def once(items: Sequence[Item]) -> object:
        worker, fit = idle.get(), None
        try:
            if worker is None:
                worker = start()
                started.append(worker)
            reference = worker.answer.remote(items)
            while not ray.wait([reference], timeout=parameters.stalled_after_seconds)[0]:
                _log.warning("%s: still in work or waiting; %s", name, free_and_all(ray))
            answer = ray.get(reference)
            fit = worker
        finally:
            idle.put(fit)
        return answer

    def answered(items: Sequence[Item]) -> Any:
        for tried in range(1, RETRIES + 2):
            try:
                answer = once(items)
            except ray.exceptions.RayError as error:
                if tried > RETRIES or closed.is_set():
                    said = f"{name}: a worker died, {tried} times out of {tried} [{first_line(error)}]"
                    raise WorkerDiedError(said) from error
            else:
                if isinstance(answer, SentError):
                    raise unpack_error(answer)
                return answer
        raise AssertionError("the last try returns or raises")

    threads = ThreadPoolExecutor(room.workers, thread_name_prefix=name)
    try:
        yield Pool(room.workers, lambda items: threads.submit(answered, items))
    finally:
        closed.set()
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in started:
            ray.kill(worker)
        threads.shutdown()
