"""The engine that is this machine: a model in this process, and a thread or processes that prepare ahead of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache, partial

from components.compute.ahead import ahead
from components.compute.engine import Answer, Item, Model, Pool, Prepared, Result, Work


class LocalEngine:
    """See `Engine`. The answers come in the order of the lists."""

    def compute(
        self, lists: Sequence[Sequence[Item]], work: Work[Item, Model, Prepared, Result]
    ) -> Iterator[Answer[Item, Result]]:
        """Prepare ahead, and compute in this process."""
        if not lists:
            return
        model = None if work.processes else work.load()
        prepared = ahead(
            lists,
            partial(work.prepare, work.open() if model is None else model),
            processes=work.processes,
            describe=lambda items: work.describe(items[0]),
            advice=work.advice,
        )
        for items, one in zip(lists, prepared, strict=True):
            if model is None:
                model = work.load()  # while the processes work ahead
            yield Answer(items, work.compute(model, one))

    def prepare(
        self,
        lists: Sequence[Sequence[Item]],
        work: Callable[[Sequence[Item]], Result],
        *,
        name: str,  # noqa: ARG002 -- for engines that are elsewhere
        describe: Callable[[Item], str],
        advice: str,
        processes: int,
    ) -> Iterator[Answer[Item, Result]]:
        """Work ahead of whoever takes the answers."""
        results = ahead(lists, work, processes=processes, describe=lambda items: describe(items[0]), advice=advice)
        for items, result in zip(lists, results, strict=True):
            yield Answer(items, result)

    def each(self, items: Iterable[Item], work: Callable[[Item], Result], *, name: str) -> Iterator[Result]:  # noqa: ARG002
        """One after the other; each may use all cores."""
        return map(work, items)

    @contextmanager
    def pool(
        self,
        load: Callable[[], Model],
        work: Callable[[Model, Sequence[Item]], Result],
        *,
        name: str,  # noqa: ARG002
    ) -> Iterator[Pool[Item, Result]]:
        """One worker: whoever submits a list."""
        model = cache(load)

        def submit(items: Sequence[Item]) -> "Future[Result]":
            done: Future[Result] = Future()
            done.set_result(work(model(), items))
            return done

        yield Pool(1, submit)
