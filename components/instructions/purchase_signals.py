"""How what runs side by side in a purchase tells each other that something has changed, or that it ends."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar

_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


class PurchaseSignals:
    """Whether a purchase goes on. Make it inside the event loop that it runs on.

    Attributes:
        why: what the purchase ends with; None: nothing so far.
    """

    def __init__(self) -> None:
        self.why: Exception | None = None
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()  # set, and replaced, whenever a queue, the money or this changes

    @property
    def stopped(self) -> bool:
        """Nobody may send any more."""
        return self._stopped.is_set()

    def stop(self, why: Exception | None) -> None:
        """Let nobody send any more.

        Args:
            why: what the purchase ends with, if nothing was said before; None: whoever stops it raises that.
        """
        if self.why is None and why is not None:
            self.why = why
            _LOG.warning("the purchase ends when what is in flight is settled: %s", why)
        self._stopped.set()
        self.notify()

    def go_on(self) -> None:
        """Take back that nobody may send any more."""
        self.why = None
        self._stopped.clear()
        self.notify()

    def notify(self) -> None:
        """Wake those up who wait for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    async def unless_stopped(self, waiting: Coroutine[Any, Any, object]) -> bool:
        """Wait, but not when the purchase stops; True when the wait came to its end."""
        wait, stop = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            wait.cancel()
        return not self.stopped


async def in_thread(action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call something that blocks, in the caller's context: who listens to progress there is told from the thread.

    It is done also when nobody waits for it any more, because the purchase is interrupted: a reply in hand is settled.
    """
    run = partial(contextvars.copy_context().run, action, *arguments, **options)
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, run))
