"""Lists on their way through the cluster: sent, answered, and those without an answer sent again."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.compute.ahead import WorkerDiedError
from components.compute.engine import Answer
from components.compute.ray_cluster import first_line, join
from components.compute.ray_errors import SentError, unpack_error
from components.compute.ray_lost import find_lost
from components.compute.ray_room import Takes, check_room, free_and_all, room_for_models
from components.compute.ray_rows import Models, through_ray_data
from components.compute.ray_worker import Step, packed
from components.parameters.compute import ComputeParameters

_log = logging.getLogger(__name__)

_LISTS_AT_ONCE = 20_000  # that Ray Data is given: it holds a block of each; the model is loaded again for the next ones
_FAILURES_IN_A_ROW = 3  # without any answer between them, after which trying again is given up
_SUSPECTS_AT_ONCE = 16  # lists that are looked at together for an item that ends processes, the first time


_Lost = dict[int, tuple[tuple[Any, str], ...]]  # by list


class ClusterStalledError(RuntimeError):
    """Nothing moved for a while; the message says what waits for what."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with lists.

    Attributes:
        name: what it does.
        step: the first operator.
        describe: names an item for a person.
        advice: what a message about a process that died says to do.
        parameters: what workers take.
        models: the second operator, given the room there is for it; None: there is none.
    """

    name: str
    step: Step
    describe: Callable[[Any], str]
    advice: str
    parameters: ComputeParameters
    models: Callable[[Any], Models] | None

    def answers(self, lists: Sequence[Sequence[Any]], *, together: int) -> Iterator[Answer[Any, Any]]:
        """An answer for each list.

        Args:
            lists: of items.
            together: lists of a row.
        """
        if not lists:
            return
        ray = join(self.parameters)
        for start in range(0, len(lists), _LISTS_AT_ONCE * together):
            part = lists[start : start + _LISTS_AT_ONCE * together]
            yield from self._answers(ray, dict(enumerate(part)), together)

    def _answers(self, ray: Any, waiting: dict[int, Sequence[Any]], together: int) -> Iterator[Answer[Any, Any]]:
        # What is left of `waiting` after a failure is sent again; of a list with items that end processes, the others.
        lost: _Lost = {}
        in_a_row, window = 0, _SUSPECTS_AT_ONCE
        while waiting:
            before = len(waiting)
            try:
                for number, result in self._once(ray, waiting, together):
                    yield Answer(waiting.pop(number), result, lost.pop(number, ()))
                if waiting:
                    raise WorkerDiedError(f"{self.name}: {len(waiting)} of {before} lists came back without an answer")
            except ray.exceptions.OutOfMemoryError as error:  # Ray has tried again already, on other machines too
                text = f"{self.name}: a worker at or after {self._first(waiting)}"
                raise gave_up(error, text, self.advice) from error
            except ray.exceptions.RayError as error:
                # A machine or a model that is gone says nothing of the items that were prepared.
                elsewhere = isinstance(error, ray.exceptions.RayActorError | ray.exceptions.NodeDiedError)
                found = not elsewhere and self._without_lost(ray, waiting, lost, window)
                window *= 4  # where there are many such items, few failures are to find them
                in_a_row = 0 if found or len(waiting) < before else in_a_row + 1
                if in_a_row == _FAILURES_IN_A_ROW:
                    text = f"{self.name}: workers died {in_a_row} times in a row, at or after {self._first(waiting)}"
                    raise gave_up(error, text, self.advice) from error
                _log.warning("%s goes on after a failure in the cluster: %s", self.name, first_line(error))

    def _once(self, ray: Any, waiting: dict[int, Sequence[Any]], together: int) -> Iterator[tuple[int, Any]]:
        from ray.data.exceptions import ExecutionTimeoutError

        decode = self.parameters.decode
        takes = Takes("decode", decode.cpus)
        check_room(ray, takes)
        numbers = list(waiting)
        rows = [numbers[start : start + together] for start in range(0, len(numbers), together)]
        models = None if self.models is None else self.models(room_for_models(ray, self.parameters))
        try:
            for row, values in through_ray_data(
                [packed(index, [waiting[number] for number in row]) for index, row in enumerate(rows)],
                self.step,
                takes=takes,
                workers=None if decode.workers == "auto" else decode.workers,
                models=models,
                stalled_after=self.parameters.stalled_after_seconds,
            ):
                if isinstance(values, SentError):
                    raise unpack_error(values)
                yield from zip(rows[row], values, strict=True)
        except ExecutionTimeoutError as error:
            raise self._stalled(ray, waiting, models, error) from error

    def _without_lost(
        self,
        ray: Any,
        waiting: dict[int, Sequence[Any]],
        lost: _Lost,
        window: int,
    ) -> bool:
        """Move items that end processes from the lists that wait to `lost`; whether there were any."""
        takes = Takes("decode", self.parameters.decode.cpus)
        found = find_lost(ray, waiting.items(), self.step, takes=takes, window=window)
        for number, positions in found.items():
            items = waiting[number]
            lost[number] = (*lost.get(number, ()), *((items[place], why) for place, why in positions.items()))
            waiting[number] = [item for place, item in enumerate(items) if place not in positions]
        return any(found.values())

    def _first(self, waiting: dict[int, Sequence[Any]]) -> str:
        found = [item for items in waiting.values() for item in items[:1]][:1]
        return self.describe(found[0]) if found else "lists of which all items are lost"

    def _stalled(
        self, ray: Any, waiting: dict[int, Sequence[Any]], models: Models | None, error: BaseException
    ) -> ClusterStalledError:
        operators = "; ".join(line.strip(" -") for line in str(error).splitlines() if line.startswith("  - "))
        needs = f"a worker that prepares takes {self.parameters.decode.cpus:g} CPUs"
        if models is not None:
            takes = models.room.takes
            needs += f", one with the model {takes.cpus:g} CPUs and {takes.gpus:g} GPUs"
        return ClusterStalledError(
            f"{self.name}: nothing has moved for {self.parameters.stalled_after_seconds:g} s "
            f"(compute.stalled_after_seconds), {len(waiting)} lists are left, the first from {self._first(waiting)}. "
            f"{operators}. {needs}; {free_and_all(ray)}. Where all are taken, other work holds them or compute.model "
            "takes too many; where not, an image or a network file system hangs. What has been answered is kept; run "
            "again to continue"
        )


def gave_up(error: BaseException, text: str, advice: str) -> Exception:
    """The error for workers that died too often, for want of memory or for another reason."""
    if type(error).__name__ == "OutOfMemoryError":
        return MemoryError(f"{text}: Ray ended it as its machine ran out of memory; {advice} [{first_line(error)}]")
    return WorkerDiedError(f"{text}; {advice} [{first_line(error)}]")
