"""Provider `openai`: any OpenAI-compatible endpoint, many requests in flight, every send in the ledger."""

import asyncio
import logging
import random
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.instructions.chat import Repair, chat_body, chat_specification
from components.instructions.endpoint.endpoint import (
    AttemptFailedError,
    Endpoint,
    EndpointRefusedError,
    RequestRejectedError,
    open_endpoint,
)
from components.instructions.endpoint.limits import RateLimits
from components.instructions.image_streak import ImageStreak
from components.instructions.provider import (
    Answer,
    Failure,
    Outcome,
    PurchaseBook,
    Send,
    SendKind,
    Setback,
    UnusableReply,
)
from components.instructions.replies.judge import Bill, Judgement, bill_of, judge_reply, repair_of
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sent_image import ImageUnavailableError, SentImage, prepare_image
from components.instructions.spending.prices import find_price
from components.instructions.spending.purse import CircuitBreaker, EndpointFailsError, Purse
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.pool.images import ImageError

_LOG = logging.getLogger(__name__)
# A longer wait is not waited out: the run ends, and can be started again when it is over.
_LONGEST_WAIT_SECONDS = 3600.0
# Rejected requests that are too few to tell a fault of theirs from one of the endpoint.
_FEW = 10
_FORBIDDEN = 403
_HELD = "rejected"  # reason of a setback: the request is tried once more when all others are through
_JITTER = random.SystemRandom()  # not seeded on purpose: it keeps several processes from trying at the same moment


class OpenAIProvider:
    """Asks an endpoint; see `components.instructions.provider.InstructionProvider`.

    Args:
        parameters: who is asked, and what.
        purchase: limits, money, the endpoint.
        pixel_limit: pixels above which an image is not decoded.

    Raises:
        UnknownPriceError: the model has no price.
    """

    name = "openai"

    def __init__(self, parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int) -> None:
        self._parameters = parameters
        self._purchase = purchase
        self._pixel_limit = pixel_limit
        self._price = find_price(purchase.prices, parameters.model)

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """The model, the task's template and the sampling parameters."""
        return [chat_specification(request, self._parameters) for request in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """None: every instruction has to be written."""
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Ask for instructions, `purchase.concurrency` at a time.

        Raises:
            BudgetSpentError: `purchase.spend_at_most_usd` is reached.
            EndpointRefusedError: the endpoint takes no requests at all.
            ImagesAwayError: the images cannot be read.
            EndpointFailsError: nothing usable came for `purchase.breaker_failures` attempts, or some requests had no
                reply after `purchase.attempts`.
        """
        asyncio.run(self._ask(requests, book))

    async def _ask(self, requests: Sequence[IdentifiedRequest], book: PurchaseBook) -> None:
        purchase = self._purchase
        async with open_endpoint(purchase) as endpoint:
            desk = _Desk(endpoint, book, purse=Purse(purchase.spend_at_most_usd, book.run_spent_usd), provider=self)
            await desk.serve_all(requests, book.unusable_replies([one.request_id for one in requests]))

    async def prepare(self, identified: IdentifiedRequest) -> SentImage:
        """The image as it is sent."""
        request = identified.request
        return await asyncio.to_thread(
            prepare_image,
            request.uri,
            image_sha=request.image_sha,
            limit=self._parameters.image_limit,
            pixel_limit=self._pixel_limit,
        )

    def bill(self, identified: IdentifiedRequest, image: SentImage, repair: Repair | None) -> Bill:
        """What a send takes at most."""
        return bill_of(identified, image, price=self._price, batch=False, repair=repair)

    @property
    def repairs(self) -> int:
        """Times a response may be sent back."""
        return self._parameters.repairs

    @property
    def purchase(self) -> PurchaseParameters:
        """Limits, money, the endpoint."""
        return self._purchase


@dataclass(frozen=True, slots=True)
class _Held:
    """A request that was rejected, and how many answers had come by then."""

    identified: IdentifiedRequest
    answers: int
    forbidden: bool


class _Desk:
    """One purchase at one endpoint: what all requests in flight share."""

    def __init__(self, endpoint: Endpoint, book: PurchaseBook, *, purse: Purse, provider: OpenAIProvider) -> None:
        limits = provider.purchase
        self._endpoint = endpoint
        self._book = book
        self._purse = purse
        self._provider = provider
        self._limits = RateLimits(
            requests_per_minute=limits.requests_per_minute, tokens_per_minute=limits.tokens_per_minute
        )
        self._breaker = CircuitBreaker(limits.breaker_failures)
        self._stopped = asyncio.Event()
        self._why: Exception | None = None
        self._unanswered: list[str] = []
        self._earlier: Mapping[str, Sequence[UnusableReply]] = {}
        self._booked = asyncio.Event()  # set, and replaced, whenever something in flight is paid
        self._answers = 0
        self._images = ImageStreak()
        self._held: list[_Held] = []
        self._tried_again: dict[str, _Held] = {}

    async def serve_all(
        self, requests: Sequence[IdentifiedRequest], earlier: Mapping[str, Sequence[UnusableReply]]
    ) -> None:
        """Obtain every request; `earlier` is what they have brought before."""
        self._earlier = earlier
        await self._serve_in_lines(requests)
        # Whether a rejection is the request's fault or the endpoint's shows when the others are through.
        self._tried_again = {held.identified.request_id: held for held in self._held}
        await self._serve_in_lines([held.identified for held in self._held])
        if self._why is not None:
            raise self._why
        if self._unanswered:
            raise EndpointFailsError(
                f"{len(self._unanswered):,} of {len(requests):,} requests had no reply after "
                f"{self._provider.purchase.attempts} attempts (the last: {self._unanswered[-1]}). Everything that came "
                "is kept; run again to ask for the rest"
            )

    async def _serve_in_lines(self, requests: Sequence[IdentifiedRequest]) -> None:
        queue = iter(requests)
        lines = min(self._provider.purchase.concurrency, len(requests))
        ended = await asyncio.gather(*(self._serve(queue) for _ in range(lines)), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _serve(self, queue: Iterator[IdentifiedRequest]) -> None:
        finished = False
        try:
            while not self._stopped.is_set() and (identified := next(queue, None)) is not None:
                await self._obtain(identified)
            finished = True
        finally:
            if not finished:  # the ledger cannot be written: nobody may send any more
                self._stopped.set()

    async def _obtain(self, identified: IdentifiedRequest) -> None:
        try:
            image = await self._provider.prepare(identified)
        except ImageUnavailableError as error:
            self._book.leave_out(identified, reason=error.reason, detail=error.detail)
            self._images.unavailable(identified.request.uri, error)
            return
        except ImageError as error:
            if await self._announce(Send(identified)):
                await self._settle(Failure(identified.request_id, error.reason, error.detail))
            return
        self._images.available()
        kind: SendKind = "first"
        # A run that ended after an unusable reply goes on with its repair: the reply is paid for.
        replies = list(self._earlier.get(identified.request_id, ()))
        failures = 0
        while True:
            repair = repair_of(replies)
            repairs_left = max(0, self._provider.repairs - len(replies))
            kind = "repair" if repair is not None and kind == "first" else kind
            bill = self._provider.bill(identified, image, repair)
            if not await self._may_send(Send(identified, kind, bill.may_cost_usd, replies=len(replies)), bill):
                return
            body = chat_body(identified, image, repair=repair)
            send_key = f"{identified.request_id}-{len(replies)}"
            judged, retry_after = await self._send(identified, body, send_key, bill, repairs_left)
            await self._settle(judged.outcome)
            self._note(judged, bill)
            if not isinstance(judged.outcome, Setback) or judged.outcome.reason == _HELD:
                return
            if judged.reply is not None:
                kind = "repair"
                replies.append(judged.reply)
                continue
            kind, failures = "retry", failures + 1
            if failures >= self._provider.purchase.attempts:
                self._unanswered.append(judged.outcome.detail)
                return
            await self._pause(failures, retry_after)

    async def _may_send(self, send: Send, bill: Bill) -> bool:
        """Wait for the limits, set money aside and announce; False when this is not to be sent."""
        if not await self._unless_stopped(self._limits.wait(bill.tokens)):
            return False
        while not self._purse.reserve(bill.may_cost_usd):
            if not self._purse.in_flight:
                self._stop(self._purse.spent_error(bill.may_cost_usd))
                return False
            # What is in flight mostly takes less than was set aside for it.
            if not await self._unless_stopped(self._booked.wait()):
                return False
        granted = await self._announce(send)
        if not granted:
            self._settle_up(bill.may_cost_usd, 0.0)
        return granted

    async def _announce(self, send: Send) -> bool:
        [granted] = await asyncio.to_thread(self._book.announce, [send])
        return granted

    async def _settle(self, outcome: Outcome) -> None:
        await asyncio.to_thread(self._book.settle, [outcome])

    def _settle_up(self, reserved_usd: float, paid_usd: float) -> None:
        self._purse.book(reserved_usd, paid_usd)
        self._booked.set()
        self._booked = asyncio.Event()

    async def _send(
        self, identified: IdentifiedRequest, body: dict[str, object], send_key: str, bill: Bill, repairs_left: int
    ) -> tuple[Judgement, float | None]:
        began = time.monotonic()
        request_id = identified.request_id
        try:
            reply = await self._endpoint.complete(body, send_key=send_key)
        except AttemptFailedError as failed:
            seconds = time.monotonic() - began
            setback = Setback(request_id, failed.outcome, failed.reason, failed.detail, latency_seconds=seconds)
            return Judgement(setback, None), failed.retry_after
        except RequestRejectedError as rejected:
            return Judgement(self._rejected(identified, rejected, forbidden=False), None), None
        except EndpointRefusedError as refused:
            if refused.status == _FORBIDDEN and self._answers:  # others are allowed: a filter found this image
                return Judgement(self._rejected(identified, refused, forbidden=True), None), None
            self._stop(refused)
            return Judgement(Setback(request_id, "refused", "endpoint_refused", str(refused)), None), None
        self._answers += 1
        seconds = time.monotonic() - began
        return judge_reply(identified, reply, bill, repairs_left=repairs_left, latency_seconds=seconds), None

    def _rejected(self, identified: IdentifiedRequest, error: Exception, *, forbidden: bool) -> Failure | Setback:
        """Quarantine what the endpoint will not answer; leave it open where the endpoint itself may be at fault.

        A server that is set up wrongly rejects everything. So a request counts as the one at fault when others were
        answered after its first rejection, or when so few were rejected that little is lost by believing it.
        """
        request_id = identified.request_id
        first = self._tried_again.get(request_id)
        if first is None:
            self._held.append(_Held(identified, self._answers, forbidden))
            return Setback(request_id, "refused", _HELD, str(error))
        if self._answers > first.answers or (not forbidden and len(self._held) < _FEW):
            return Failure(request_id, "rejected", str(error))
        self._unanswered.append(str(error))
        return Setback(request_id, "refused", _HELD, str(error))

    def _note(self, judged: Judgement, bill: Bill) -> None:
        outcome = judged.outcome
        unknown = isinstance(outcome, Setback) and outcome.outcome == "unknown"
        self._settle_up(bill.may_cost_usd, bill.may_cost_usd if unknown else outcome.price_usd)
        if self._breaker.note(usable=isinstance(outcome, Answer)):
            assert not isinstance(outcome, Answer)
            self._stop(
                EndpointFailsError(
                    f"{self._breaker.failures} attempts in a row brought nothing usable (purchase.breaker_failures); "
                    f"the last: {outcome.reason}: {outcome.detail}. Everything bought is kept; look at "
                    f"{self._provider.purchase.base_url}, or where replies came at the prompt templates, and run again"
                )
            )

    async def _pause(self, failures: int, retry_after: float | None) -> None:
        limits = self._provider.purchase
        longest = min(limits.longest_backoff_seconds, limits.backoff_seconds * 2.0 ** (failures - 1))
        if retry_after is not None and retry_after > _LONGEST_WAIT_SECONDS:
            self._stop(
                EndpointFailsError(
                    f"the endpoint asks to wait for {retry_after:,.0f} s (Retry-After), longer than the "
                    f"{_LONGEST_WAIT_SECONDS:,.0f} s that are waited for; everything bought is kept, run again then"
                )
            )
            return
        if retry_after is not None:
            _LOG.info("the endpoint asks to wait for %.1f s", retry_after)
            self._limits.pause(retry_after)
        await self._unless_stopped(asyncio.sleep((retry_after or 0.0) + _JITTER.uniform(0.0, longest)))

    def _stop(self, why: Exception) -> None:
        self._why = self._why or why
        self._stopped.set()

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, object]) -> bool:
        """Wait, but not when the purchase stops; True when the wait came to its end."""
        wait, stop = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            wait.cancel()
        return not self._stopped.is_set()
