"""An engine that is to its callers what a cluster is: all that it is given and gives is pickled, and out of order."""

import pickle
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from components.compute.engine import Answer, Item, Model, Pool, Prepared, Result, Work

_Thing = TypeVar("_Thing")


class ShuffledEngine:
    """See `components.compute.engine.Engine`; the last list is answered first.

    Args:
        lost: items, as they describe themselves, that end whatever process prepares them.
    """

    def __init__(self, *, lost: Collection[str] = ()) -> None:
        self._lost = lost

    def compute(
        self, lists: Sequence[Sequence[Item]], work: Work[Item, Model, Prepared, Result]
    ) -> Iterator[Answer[Item, Result]]:
        """Prepare with the model without its weights, compute with the whole."""
        if not lists:
            return
        sent = _sent(work)
        opened, loaded = sent.open(), sent.load()
        yield from self._answers(
            lists,
            lambda items: sent.compute(loaded, _sent(sent.prepare(opened, items))),
            describe=sent.describe,
        )

    def prepare(
        self,
        lists: Sequence[Sequence[Item]],
        work: Callable[[Sequence[Item]], Result],
        *,
        name: str,
        describe: Callable[[Item], str],
        advice: str,
        processes: int,
    ) -> Iterator[Answer[Item, Result]]:
        """Prepare."""
        yield from self._answers(lists, _sent(work), describe=describe)

    def each(self, items: Iterable[Item], work: Callable[[Item], Result], *, name: str) -> Iterator[Result]:
        """Work on the last first."""
        sent, taken = _sent(work), [_sent(item) for item in items]
        results = [_sent(sent(item)) for item in reversed(taken)]
        return reversed(results)

    @contextmanager
    def pool(
        self,
        load: Callable[[], Model],
        work: Callable[[Model, Sequence[Item]], Result],
        *,
        name: str,
    ) -> Iterator[Pool[Item, Result]]:
        """Two workers side by side, each with a model of its own."""
        sent_load, sent_work, own, loading = _sent(load), _sent(work), threading.local(), threading.Lock()

        def done(items: Sequence[Item]) -> Result:
            with loading:  # workers are processes in earnest: libraries that load need not be safe for threads
                if not hasattr(own, "model"):
                    own.model = sent_load()
            return _sent(sent_work(own.model, _sent(items)))

        with ThreadPoolExecutor(2) as workers:
            yield Pool(2, lambda items: workers.submit(done, items))

    def _answers(
        self,
        lists: Sequence[Sequence[Item]],
        work: Callable[[Sequence[Item]], Result],
        *,
        describe: Callable[[Item], str],
    ) -> Iterator[Answer[Item, Result]]:
        for items in reversed(lists):
            kept = [item for item in items if describe(item) not in self._lost]
            lost = tuple((item, "it ended the process") for item in items if describe(item) in self._lost)
            try:
                result = work(_sent(kept))
            except (ValueError, RuntimeError) as error:
                raise _sent(error) from None
            yield Answer(kept, _sent(result), _sent(lost))


def _sent(thing: _Thing) -> _Thing:
    """As another process gets it."""
    copy: _Thing = pickle.loads(pickle.dumps(thing))
    return copy
