"""Work done a little ahead of whoever takes the results: by a thread of this process, or by other processes."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

_IN_FLIGHT = 3  # items per worker: one in work and some that wait, so that none idles and memory stays bounded

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerDiedError(RuntimeError):
    """A worker process ended without an answer: killed, most often for want of memory, or crashed."""


def ahead(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    processes: int = 0,
    describe: Callable[[Item], str] = str,
    advice: str = "use fewer processes",
) -> Iterator[Result]:
    """Apply a function to items, a few of them ahead of whoever takes the results.

    Args:
        items: what to work on.
        work: called with each; for processes it is pickled, so importable by name.
        processes: that share the work; with 0 one thread of this process does it, in order: tokenizers are not safe to
            use from several, and file systems that live in this process's memory are seen.
        describe: names an item in the message about a process that died.
        advice: what that message says to do.

    Yields:
        The results, in the order of `items` whichever is finished first.

    Raises:
        WorkerDiedError: a process died; the message names the items that were in work.
    """
    workers = min(processes, len(items))
    waiting: deque[Future[Result]] = deque()
    taken = 0
    executor = _processes(workers) if workers else ThreadPoolExecutor(max_workers=1)
    try:
        for item in items:
            waiting.append(executor.submit(work, item))
            if len(waiting) >= max(1, workers) * _IN_FLIGHT:
                yield waiting.popleft().result()
                taken += 1
        while waiting:
            yield waiting.popleft().result()
            taken += 1
    except BrokenProcessPool as error:
        last = min(taken + workers * _IN_FLIGHT, len(items)) - 1
        raise WorkerDiedError(
            f"a worker process died, most likely for want of memory, at one of the items from {describe(items[taken])} "
            f"to {describe(items[last])}; {advice}"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _processes(count: int) -> Executor:
    # A forked child of a process with threads or CUDA may hang.
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=obey_parent)


def obey_parent() -> None:
    """Make a worker process leave interrupts to its parent and end with it."""
    # A worker does not see that its parent was killed: it waits on a pipe whose other end it holds too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, name="exit-with-parent", daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only workers come here
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
