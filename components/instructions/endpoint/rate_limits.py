"""Keeping within what an endpoint allows per minute, together for all requests in flight."""

import asyncio
import time

from aiolimiter import AsyncLimiter

_MINUTE = 60.0
# How much of a minute's allowance may be used at once. The rest flows evenly, so that no minute, wherever it begins,
# has more than the allowance.
_BURST_SHARE = 0.1


class RateLimits:
    """Requests and tokens per minute, and pauses that the endpoint asks for.

    Args:
        requests_per_minute: requests.
        tokens_per_minute: tokens, sent and received.
    """

    def __init__(self, *, requests_per_minute: float, tokens_per_minute: float) -> None:
        self._requests = _bucket(requests_per_minute, smallest=1.0)
        self._tokens = _bucket(tokens_per_minute, smallest=1.0)
        self._paused_until = 0.0

    async def wait(self, tokens: int) -> None:
        """Return when a request of so many tokens may be sent."""
        await self._requests.acquire()
        left = float(tokens)
        while left > 0:
            part = min(left, self._tokens.max_rate)
            await self._tokens.acquire(part)
            left -= part
        while (pause := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)

    def pause(self, seconds: float) -> None:
        """Hold every request back for so long: one that is told to wait speaks for all."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)


def _bucket(per_minute: float, *, smallest: float) -> AsyncLimiter:
    burst = max(smallest, per_minute * _BURST_SHARE)
    flow = max(per_minute - burst, per_minute * (1 - _BURST_SHARE) / 2)  # per minute
    return AsyncLimiter(burst, burst / flow * _MINUTE)
