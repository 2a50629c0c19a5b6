"""Functions that workers import, and lists of whole numbers to send them."""

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from components.compute.engine import Work
from components.pool.images import ImageError
from components.pool.reasons import QuarantineReason


def square(items):
    return [item * item for item in items]


def double(item):
    return 2 * item


def toy(prepare=square, compute=None, load=None, name="toy") -> Work[Any, Any, Any, Any]:
    """Squares numbers on one worker and adds a thousand on another."""
    return Work(
        name=name,
        open=opened,
        load=load or loaded,
        prepare=partial(prepared, work=prepare),
        compute=compute or add,
        describe=described,
        advice="use smaller toys",
    )


def opened():
    return 0


def loaded():
    return 1000


def described(item):
    return f"number {item}"


def prepared(model, items, *, work):
    return work(items)


def add(model, squares):
    return [model + square for square in squares]


def die_of_13(items):
    """Ends the process that prepares 13, every time."""
    if 13 in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(items)


def die_once(items, *, folder):
    """Ends the first process that prepares 5."""
    if 5 in items:
        try:
            Path(folder, "died").touch(exist_ok=False)
        except FileExistsError:
            return square(items)
        os.kill(os.getpid(), signal.SIGKILL)
    return square(items)


def die_of_13_computing(model, squares):
    """Ends the worker that holds the model, every time."""
    if 169 in squares:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(model, squares)


def refuse(items):
    raise ImageError(QuarantineReason.CORRUPT, f"no good: {items[0]}")


def refuse_loading():
    raise FileNotFoundError(2, "no such model", "toy.safetensors")


def run_out_of_gpu_memory(model, squares):
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")


def sum_of(item, *, factor):
    values, fails = item
    if fails:
        raise MemoryError("no room")
    return factor * values.sum(), not values.flags.writeable


def hang(items):
    time.sleep(600)
