"""Workers of a Ray cluster that hold a model and are given one list after the other."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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


class _Workers:
    """Those of a pool: each is started when there is a list for it, and again after it died."""

    def __init__(self, ray: Any, start: Callable[[], Any], *, count: int, name: str, patience: float) -> None:
        self._ray = ray
        self._start = start
        self._name = name
        self._patience = patience
        self._idle: SimpleQueue[Any] = SimpleQueue()  # None: not started, or ended
        for _ in range(count):
            self._idle.put(None)
        self._started: list[Any] = []
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._closed = threading.Event()

    def submit(self, items: Sequence[Any]) -> Future[Any]:
        return self._threads.submit(self._answered, items)

    def close(self) -> None:
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._started:
            self._ray.kill(worker)
        self._threads.shutdown()

    def _answered(self, items: Sequence[Any]) -> Any:
        tried = 0
        while True:
            tried += 1
            try:
                answer = self._once(items)
            except self._ray.exceptions.RayError as error:
                if tried > RETRIES or self._closed.is_set():
                    said = f"{self._name}: a worker died, {tried} times out of {tried} [{first_line(error)}]"
                    raise WorkerDiedError(said) from error
                continue
            if isinstance(answer, SentError):
                raise unpack_error(answer)
            return answer

    def _once(self, items: Sequence[Any]) -> object:
        worker, fit = self._idle.get(), None
        try:
            if worker is None:
                worker = self._start()
                self._started.append(worker)
            reference = worker.answer.remote(items)
            while not self._ray.wait([reference], timeout=self._patience)[0]:
                _log.warning("%s: still in work or waiting; %s", self._name, free_and_all(self._ray))
            answer: object = self._ray.get(reference)
            fit = worker
        finally:
            self._idle.put(fit)
        return answer


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
    patience = parameters.stalled_after_seconds
    workers = _Workers(ray, start, count=room.workers, name=name, patience=patience)
    try:
        yield Pool(room.workers, workers.submit)
    finally:
        workers.close()
