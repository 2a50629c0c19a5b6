"""Provider `openai`: any OpenAI-compatible endpoint, many requests in flight."""

import logging
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from components.instructions.chat_provider import ChatProvider, ChatPurchase
from components.instructions.endpoint.endpoint import Endpoint, open_endpoint
from components.instructions.endpoint.rate_limits import RateLimits
from components.instructions.provider import OpenBatch, PurchaseBook
from components.instructions.purchase_errors import EndpointFailsError, NothingUsableError, PurchaseStoppedError
from components.instructions.purchase_loop import PurchaseLoop
from components.instructions.replies.finish_reasons import as_failure
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest
from components.instructions.sender import GroupResult, PreparedRequest
from components.instructions.sent_image import SentImage
from components.parameters.instructions import InstructionParameters, PurchaseParameters

_LOG = logging.getLogger(__name__)
# First pause after a failure, doubled each time and drawn between 0 and that: a second is what rate limiters count in,
# and a minute is the longest of their windows.
BACKOFF_SECONDS = 1.0
LONGEST_BACKOFF_SECONDS = 60.0
# A longer wait is not waited out: the run ends, and can be started again when it is over.
_LONGEST_WAIT_SECONDS = 3600.0
_JITTER = random.SystemRandom()  # not seeded on purpose: it keeps several processes from trying at the same moment


class LongWaitError(EndpointFailsError, PurchaseStoppedError):
    """The endpoint asks to wait for longer than anybody waits."""


def openai_provider(
    parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int
) -> ChatProvider:
    """Ask an endpoint, `purchase.concurrency` requests at a time; see `ChatProvider`."""
    return ChatProvider("openai", parameters, purchase, pixel_limit=pixel_limit, buy=_buy)


async def _buy(requests: Sequence[IdentifiedRequest], book: PurchaseBook, bought: ChatPurchase) -> None:
    async with open_endpoint(bought.purchase) as endpoint:
        await PurchaseLoop(book, EndpointSender(endpoint, bought), terms=bought.terms).buy(requests)


class EndpointSender:
    """Sends requests one by one over HTTP; see `components.instructions.sender.Sender`.

    Args:
        endpoint: an open one.
        bought: what the purchase goes by.
    """

    group_size = 1
    group_bytes = 1
    batches_at = None

    def __init__(self, endpoint: Endpoint, bought: ChatPurchase) -> None:
        limits = bought.purchase
        self.groups_in_flight = limits.concurrency
        self.open_image = bought.open_image
        self._endpoint = endpoint
        self._bought = bought
        self._address = limits.base_url
        self._limits = RateLimits(
            requests_per_minute=limits.requests_per_minute, tokens_per_minute=limits.tokens_per_minute
        )

    async def wait_for_limits(self, tokens: int) -> None:
        """Keep within requests and tokens per minute, and wait as long as the endpoint has asked to."""
        await self._limits.wait(tokens)

    async def send(self, group: list[PreparedRequest[SentImage]], batch: OpenBatch | None) -> GroupResult:  # noqa: ARG002 -- none
        """Send one request, once."""
        [prepared] = group
        asked = prepared.open_request
        send_key = f"{asked.identified.request_id}-{asked.key.number}"
        began = time.monotonic()
        reply = await self._endpoint.complete(self._bought.body(asked, prepared.image), send_key=send_key)
        reply = as_failure(replace(reply, seconds=time.monotonic() - began))
        if isinstance(reply, Reply) or reply.kind not in ("refused", "unknown"):
            return GroupResult([reply])
        return self._failed(reply, failures_before=asked.failures)

    def _failed(self, failure: SendFailure, *, failures_before: int) -> GroupResult:
        """What passes is waited out: as long as the endpoint asks, and a drawn time that grows with every failure."""
        asked_for = failure.retry_after
        if asked_for is not None and asked_for > _LONGEST_WAIT_SECONDS:
            stop = LongWaitError(
                f"the endpoint asks to wait for {asked_for:,.0f} s (Retry-After), longer than the "
                f"{_LONGEST_WAIT_SECONDS:,.0f} s that are waited for; everything bought is kept, run again then"
            )
            return GroupResult([failure], stop=stop)
        if asked_for is not None:
            _LOG.info("the endpoint asks to wait for %.1f s", asked_for)
            self._limits.pause(asked_for)
        longest = min(LONGEST_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0**failures_before)
        return GroupResult([failure], pause_seconds=(asked_for or 0.0) + _JITTER.uniform(0.0, longest))

    def nothing_usable(self, said: str) -> Exception:
        """Whoever runs the endpoint, or has written the templates, can put it right."""
        return NothingUsableError(
            f"{said}; look at {self._address}, or where replies came at the prompt templates, and run again"
        )
