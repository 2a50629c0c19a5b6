"""How long-running components say how far they are, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Called with what is done and what there is, from the thread that runs the component."""

    def __call__(self, done: int, total: int) -> None:
        """Report `done` of `total` items."""


def no_progress(done: int, total: int) -> None:
    """Listen to nothing."""
