"""Work spread over spawned processes: few pieces in flight, results in the order of the work."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

_IN_FLIGHT = 3  # pieces per process: one that runs and some that wait, so that no process idles

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerDiedError(RuntimeError):
    """A worker process ended without an answer: killed, most often for want of memory, or crashed."""


def map_in_processes(
    function: Callable[[Sequence[Item]], list[Result]],
    items: Sequence[Item],
    *,
    processes: int,
    piece: int,
    describe: Callable[[Item], str],
) -> Iterator[list[Result]]:
    """Apply a function to pieces of a sequence in spawned processes.

    Args:
        function: importable by name (it is pickled); gets a piece, returns its results.
        items: all of the work; a piece is sent when a process is about to be free for it.
        processes: worker processes; with 1 the work is done in this process, which also sees file systems that
            live in its memory.
        piece: items sent at a time.
        describe: names an item for the message about a worker that died.

    Yields:
        The results of each piece, in the order of `items` whichever is finished first.

    Raises:
        WorkerDiedError: a worker died; the message names the items that were in work.
    """
    starts = range(0, len(items), piece)
    if processes == 1:
        for start in starts:
            yield function(items[start : start + piece])
        return
    executor = ProcessPoolExecutor(
        max_workers=max(1, min(processes, len(starts))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
    )
    waiting: deque[Future[list[Result]]] = deque()
    answered = 0
    try:
        for start in starts:
            waiting.append(executor.submit(function, items[start : start + piece]))
            if len(waiting) >= processes * _IN_FLIGHT:
                yield waiting.popleft().result()
                answered += 1
        while waiting:
            yield waiting.popleft().result()
            answered += 1
    except BrokenProcessPool as error:
        first = answered * piece
        last = min(first + processes * _IN_FLIGHT * piece, len(items)) - 1
        raise WorkerDiedError(
            f"a worker process died, most likely for want of memory, at one of the items from "
            f"{describe(items[first])} to {describe(items[last])}; use fewer processes or refuse larger images"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    # The parent decides what an interrupt means; and a worker must not outlive a parent that was killed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # only workers come here
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
