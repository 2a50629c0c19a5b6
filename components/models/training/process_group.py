"""The processes that tune together, as each of them sees the others; a process by itself is a group of one."""

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

Value = TypeVar("Value")


def rank() -> int:
    """Which of the processes this one is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes, logs and removes for all."""
    return rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if dist.is_initialized():
        dist.barrier()


def first_decides(decide: Callable[[], Value]) -> Value:
    """Give every process what the first one's call returned; the others make none.

    Args:
        decide: may read and change files; what it returns can be pickled.
    """
    if not dist.is_initialized():
        return decide()
    decided = [decide() if is_first() else None]
    dist.broadcast_object_list(decided)
    (value,) = decided
    return value  # type: ignore[return-value]  # what the first one decided


def gather(value: Value) -> list[Value]:
    """Give every process the values of all, in the order of their ranks."""
    if not dist.is_initialized():
        return [value]
    values: list[Value | None] = [None] * size()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]  # all are filled
