"""The seam between what is computed and where: the same functions over lists of items, here or on a cluster.

An engine changes where and when, never what: each list is prepared and computed by itself, so the results are the same
bytes wherever that happens. They come in any order, and whoever takes them writes them down as they come.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Model = TypeVar("Model")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Work(Generic[Item, Model, Prepared, Result]):
    """What becomes of a list of items: prepared on a CPU, then computed with a model, on a GPU where there is one.

    Everything in it is pickled to be sent to other processes: functions are importable by name or `partial` of such.

    Attributes:
        name: what it does, for progress and messages: "embed".
        open: the model as far as preparing needs it, without its weights.
        load: the whole model.
        prepare: reads and decodes a list; what is wrong with single items is part of what it gives.
        compute: of what was prepared.
        describe: names an item for a person.
        advice: what a message about a process that died says to do.
        processes: of this machine that share the preparing when it is the engine; 0: a thread beside the model.
    """

    name: str
    open: Callable[[], Model]
    load: Callable[[], Model]
    prepare: Callable[[Model, Sequence[Item]], Prepared]
    compute: Callable[[Model, Prepared], Result]
    describe: Callable[[Item], str]
    advice: str
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Answer(Generic[Item, Result]):
    """What came of a list.

    Attributes:
        items: of the list, in its order.
        result: of these items.
        lost: of the list, but in no result: they end the process that prepares them, whichever it is; with why.
    """

    items: Sequence[Item]
    result: Result
    lost: tuple[tuple[Item, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pool(Generic[Item, Result]):
    """Workers that hold a model.

    Attributes:
        workers: lists that are worked on at a time; more than these may wait.
        submit: takes a list and gives what will be its result, with the error that `load` or `work` raised as it was
            raised, or `WorkerDiedError`: the list ended whichever worker had it. It may also work on the list, or
            raise, before it returns.
    """

    workers: int
    submit: Callable[[Sequence[Item]], "Future[Result]"]


class Engine(Protocol):
    """Where the heavy stages compute."""

    def compute(
        self, lists: Sequence[Sequence[Item]], work: Work[Item, Model, Prepared, Result]
    ) -> Iterator[Answer[Item, Result]]:
        """Prepare and compute each list.

        Args:
            lists: what belongs together, such as the images of one forward pass; without any, nothing is loaded.
            work: what is done with each.

        Yields:
            An answer for each list, in any order.

        Raises:
            WorkerDiedError: a process died, and trying again did not help.
        """

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
        """Do what needs no model with each list; arguments and answers as of `compute`."""

    def each(self, items: Iterable[Item], work: Callable[[Item], Result], *, name: str) -> Iterator[Result]:
        """Apply a function to few large items, such as the vectors of a task.

        Args:
            items: taken one after the other as there is room for them, so they may be read as they are taken.
            work: importable by name, or `partial` of such.
            name: what it does.

        Yields:
            The results, in the order of the items.
        """

    def pool(
        self, load: Callable[[], Model], work: Callable[[Model, Sequence[Item]], Result], *, name: str
    ) -> AbstractContextManager[Pool[Item, Result]]:
        """Workers for lists that come to be one after the other, such as the groups of a purchase.

        A list whose worker ends is given to another before it counts as having ended it. A worker is started, and
        loads, when it is given its first list; what it holds is given back at the end of the context, and what is in
        work then is given up.

        Args:
            load: the model.
            work: of a list; both are importable by name, or `partial` of such.
            name: what it does.
        """
