"""Rows through Ray Data: one operator that needs no model, and where there is one, a pool of workers that hold it."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.compute.engine import Work
from components.compute.ray_room import ModelRoom, Takes
from components.compute.ray_worker import NUMBER, ModelWorker, Place, Row, Step, first_step, value_of

RETRIES = 2  # of what was lost with its process or machine


@dataclass(frozen=True, slots=True)
class Models:
    """The second operator.

    Attributes:
        room: how many workers.
        work: theirs.
        place: what they must find.
    """

    room: ModelRoom
    work: Work[Any, Any, Any, Any]
    place: Place


def through_ray_data(
    rows: Sequence[Row], step: Step, *, takes: Takes, workers: int | None, models: Models | None, stalled_after: float
) -> Iterator[tuple[int, Any]]:
    """Apply a step to the lists of every row and, with models, compute.

    Args:
        rows: from `packed`.
        step: the first operator.
        takes: one of its workers.
        workers: of it at most; None: as there is room.
        models: the second operator.
        stalled_after: seconds without any movement after which it is given up.

    Yields:
        The number of a row and what came of it, in any order.

    Raises:
        RayError: a process or machine died too often.
        ExecutionTimeoutError: nothing moves.
    """
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it says of an error is raised too
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = stalled_after
    with warnings.catch_warnings():
        # Of options that are given beside the named ones; these have no name yet, and retry for ever by default.
        warnings.simplefilter("ignore", DeprecationWarning)
        data = ray.data.from_items(list(rows), override_num_blocks=len(rows)).map(
            partial(first_step, step=step),
            compute=ray.data.TaskPoolStrategy(size=workers),
            num_cpus=takes.cpus,
            max_retries=RETRIES,
        )
        if models is not None:
            # Not restarted by Ray: a worker that comes back may take the room of those that prepare for it, and all
            # would wait. Whoever calls starts again with what there is then.
            data = data.map(
                ModelWorker,
                fn_constructor_args=(models.place, models.work),
                compute=ray.data.ActorPoolStrategy(size=models.room.workers),
                num_cpus=models.room.takes.cpus,
                num_gpus=models.room.takes.gpus or None,
                max_restarts=0,
                max_task_retries=0,
            )
    with closing(iter(data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))) as blocks:
        for block in blocks:
            for row in block.to_pylist():
                yield row[NUMBER], value_of(row)
