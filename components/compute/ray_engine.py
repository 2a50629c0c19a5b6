"""The engine that is a Ray cluster. Workers compute; this process alone writes, as the results come."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from components.compute.code_fingerprint import code_fingerprint
from components.compute.engine import Answer, Item, Model, Pool, Prepared, Result, Work
from components.compute.ray_cluster import join
from components.compute.ray_errors import SentError, unpack_error
from components.compute.ray_job import Job, gave_up
from components.compute.ray_pool import open_pool
from components.compute.ray_room import Takes, check_room, free_and_all
from components.compute.ray_rows import RETRIES, Models
from components.compute.ray_worker import Place, answer_of, do_without_model, open_and_prepare
from components.parameters.compute import ComputeParameters

_log = logging.getLogger(__name__)

_ADVICE = "raise compute.task.cpus, so that fewer work on a machine at a time"


@dataclass(frozen=True, slots=True)
class RayEngine:
    """See `Engine`. The answers come in any order.

    Attributes:
        parameters: where, and what workers take.
        folders: what every machine must find, relative to the working directory or absolute.
    """

    parameters: ComputeParameters
    folders: tuple[str, ...] = ()

    def compute(
        self, lists: Sequence[Sequence[Item]], work: Work[Item, Model, Prepared, Result]
    ) -> Iterator[Answer[Item, Result]]:
        """Prepare on some workers, compute on others, which hold the model."""
        place = self.place()
        step = partial(open_and_prepare, place=place, work=work, token=uuid4().hex)
        job = Job(work.name, step, work.describe, work.advice, self.parameters, partial(Models, work=work, place=place))
        return job.answers(lists, together=1)

    def prepare(
        self,
        lists: Sequence[Sequence[Item]],
        work: Callable[[Sequence[Item]], Result],
        *,
        name: str,
        describe: Callable[[Item], str],
        advice: str,
        processes: int,  # noqa: ARG002 -- of this machine
    ) -> Iterator[Answer[Item, Result]]:
        """Do it on workers that need no model, several lists at a time."""
        step = partial(do_without_model, place=self.place(), work=work)
        job = Job(name, step, describe, advice, self.parameters, None)
        longest = max(map(len, lists), default=1)
        return job.answers(lists, together=max(1, self.parameters.decode.images // max(1, longest)))

    def each(self, items: Iterable[Item], work: Callable[[Item], Result], *, name: str) -> Iterator[Result]:
        """A task of the cluster for each."""
        ray = join(self.parameters)
        takes = Takes("task", self.parameters.task.cpus)
        check_room(ray, takes)
        at_once = max(1, int(ray.cluster_resources()["CPU"] // takes.cpus)) + 1  # one waits, so that none idles
        task = ray.remote(answer_of).options(num_cpus=takes.cpus, max_retries=RETRIES)
        kept, place = ray.put(work), self.place()
        waiting: deque[Any] = deque()
        working: list[Any] = []
        for item in items:
            while len(working) >= at_once:
                working = self._wait(ray, working, name)
            reference = task.remote(ray.put(item), kept, place)
            waiting.append(reference)
            working.append(reference)
            while waiting and waiting[0] not in working:
                yield _result(ray, waiting.popleft(), name)
        while waiting:
            yield _result(ray, waiting.popleft(), name)

    def pool(
        self, load: Callable[[], Model], work: Callable[[Model, Sequence[Item]], Result], *, name: str
    ) -> AbstractContextManager[Pool[Item, Result]]:
        """As many workers as there are for models."""
        return open_pool(self.parameters, self.place(), load, work, name=name)

    def _wait(self, ray: Any, working: list[Any], name: str) -> list[Any]:
        done, left = ray.wait(working, timeout=self.parameters.stalled_after_seconds)
        if not done:
            _log.warning("%s: still %d parts in work or waiting; %s", name, len(left), free_and_all(ray))
        return list(left)

    def place(self) -> Place:
        """What workers must find."""
        return Place(root=str(Path.cwd()), folders=self.folders, code=code_fingerprint())


def _result(ray: Any, reference: Any, name: str) -> Any:
    try:
        result = ray.get(reference)
    except ray.exceptions.RayError as error:
        raise gave_up(error, f"{name}: a worker died, {RETRIES + 1} times out of {RETRIES + 1}", _ADVICE) from error
    if isinstance(result, SentError):
        raise unpack_error(result)
    return result
