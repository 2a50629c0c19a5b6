"""How long-running components say how far they are, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Called with what is done and what there is, from the thread that runs the component."""

    def __call__(self, done: int, total: int) -> None:
        """Report `done` of `total` items."""


class NotedProgress(Protocol):
    """Called with what is done and what there is, by one thread at a time."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report `done` of `total` items, and what else is worth saying, such as what was spent."""


def no_progress(done: int, total: int, note: str = "") -> None:
    """Listen to nothing."""
