"""Finding the items that end every process which prepares them."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from components.compute.ray_room import Takes
from components.compute.ray_worker import Step, probe

# Lists that Ray Data has begun before the first is answered, at most: what they become waits in its object store.
_BEGUN_AT_MOST = 1_000
_TRIES = 2  # of an item by itself: one process may have died for another reason


def find_lost(
    ray: Any, waiting: Iterable[tuple[int, Sequence[Any]]], step: Step, *, takes: Takes, window: int
) -> dict[int, dict[int, str]]:
    """Prepare lists again, each in a process of its own, and of those that end it the items one by one.

    Args:
        ray: the module, connected.
        waiting: number and items of the lists that had no answer, in the order in which they were sent.
        step: what prepares them.
        takes: a worker that does.
        window: lists that are looked at together; after the first with a suspect among them no others are.

    Returns:
        By list, the position of each such item and what became of the process; of lists without one, nothing.
    """
    left = islice(waiting, _BEGUN_AT_MOST)
    while chunk := list(islice(left, window)):
        died = _that_die(ray, [items for _, items in chunk], step, takes)
        if died:
            suspects = [chunk[index] for index in died]
            return {number: _that_die(ray, [[item] for item in items], step, takes) for number, items in suspects}
    return {}


def _that_die(ray: Any, lists: Sequence[Sequence[Any]], step: Step, takes: Takes) -> dict[int, str]:
    task = ray.remote(probe).options(num_cpus=takes.cpus, max_retries=_TRIES - 1)
    kept = ray.put(step)
    died: dict[int, str] = {}
    for index, reference in enumerate([task.remote(items, kept) for items in lists]):
        try:
            ray.get(reference)
        except ray.exceptions.OutOfMemoryError:
            continue  # the machine's lack, not the item's fault
        except ray.exceptions.WorkerCrashedError:
            died[index] = f"the process that prepared it died, {_TRIES} times out of {_TRIES}"
    return died
