"""What a worker of a Ray cluster does with the rows that it is sent.

What goes wrong with a list comes back in its row: an error that Ray sees would end the work of all others, and lose its
class on the way.
"""

import os
import pickle
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.compute.code_fingerprint import code_fingerprint
from components.compute.engine import Work
from components.compute.ray_errors import SentError, pack_error
from components.errors import UserError

NUMBER, PAYLOAD = "number", "payload"  # columns of a row
Row = dict[str, Any]
Step = Callable[[Sequence[Any]], Any]  # what is done with a list first


class WorkerPlaceError(UserError, RuntimeError):
    """A machine of the cluster lacks what all machines need."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker must find where it runs.

    Attributes:
        root: the driver's working directory: relative paths, of images and of models, mean what they mean there, and
            what is said of them is the same.
        folders: what the driver finds there and reads from; on a machine that lacks one every image would seem missing.
        code: `code_fingerprint` of the driver.
    """

    root: str
    folders: tuple[str, ...]
    code: str


_entered: list[Place] = []  # of this process
_opened: dict[str, Any] = {}  # the model as preparing needs it, by the work's token; of the latest work alone


def enter(place: Place) -> None:
    """Go where the driver is, once per process.

    Raises:
        WorkerPlaceError: this machine lacks a folder, or has other code.
    """
    if _entered == [place]:
        return
    missing = [folder for folder in (place.root, *place.folders) if not Path(place.root, folder).exists()]
    if missing:
        raise WorkerPlaceError(
            f"the machine {socket.gethostname()} of the cluster has no {', '.join(missing)}, which the run reads from: "
            "mount the shared storage there under the same path (docs/scale.md)"
        )
    if code_fingerprint() != place.code:
        raise WorkerPlaceError(
            f"the machine {socket.gethostname()} of the cluster has another version of the project, or of the "
            "libraries that decide results, than the one that was started: give all machines the same "
            "image (docs/scale.md)"
        )
    os.chdir(place.root)
    _entered[:] = [place]


def packed(number: int, value: object) -> Row:
    """A row."""
    return {NUMBER: number, PAYLOAD: pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)}


def open_and_prepare(items: Sequence[Any], *, place: Place, work: Work[Any, Any, Any, Any], token: str) -> Any:
    """Prepare a list for a model."""
    enter(place)
    if token not in _opened:
        _opened.clear()
        _opened[token] = work.open()
    return work.prepare(_opened[token], items)


def do_without_model(items: Sequence[Any], *, place: Place, work: Callable[[Sequence[Any]], Any]) -> Any:
    """Do with a list what needs no model."""
    enter(place)
    return work(items)


def first_step(row: Row, step: Step) -> Row:
    """Apply a step to the lists of a row."""
    return _answered(row, lambda lists: [step(items) for items in lists])


def probe(items: Sequence[Any], step: Step) -> None:
    """Apply a step to a list and forget it: whether that ends the process is the question."""
    first_step(packed(0, [items]), step)


def answer_of(item: object, work: Callable[[Any], Any], place: Place) -> object:
    """What a function makes of one large item, or the error."""
    try:
        enter(place)
        return work(item)
    except Exception as error:  # noqa: BLE001 -- raised again by the driver
        return pack_error(error)


class ModelWorker:
    """An actor that holds a model; called with rows that a step has been applied to."""

    def __init__(self, place: Place, work: Work[Any, Any, Any, Any]) -> None:
        self._work = work
        self._problem: SentError | None = None
        try:
            enter(place)
            self._model = work.load()
        except Exception as error:  # noqa: BLE001 -- raised again by the driver
            self._problem = pack_error(error)

    def __call__(self, row: Row) -> Row:
        """Compute."""
        if self._problem is not None:
            return packed(row[NUMBER], self._problem)
        return _answered(row, lambda lists: [self._work.compute(self._model, prepared) for prepared in lists])


def value_of(row: Row) -> Any:
    """What a row holds: a list for each of its lists, or a `SentError`."""
    return pickle.loads(row[PAYLOAD])  # noqa: S301 -- the driver or a worker of this run wrote it


def _answered(row: Row, work: Callable[[list[Any]], object]) -> Row:
    given = value_of(row)
    if isinstance(given, SentError):
        return row
    try:
        value = work(given)
    except Exception as error:  # noqa: BLE001 -- raised again by the driver
        value = pack_error(error)
    return packed(row[NUMBER], value)
