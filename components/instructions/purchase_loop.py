"""The purchase loop: take requests, open images, set money aside, announce, send, judge, settle, until all is through.

Every provider that is paid buys through it; what differs between them is a `Sender`. As many groups as may be in flight
are served side by side on one event loop; images are opened and the ledger is written in threads.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, ParamSpec, TypeVar

from components.instructions.images_away import MissingImageRun
from components.instructions.provider import (
    BatchTakenOverError,
    EarlierFailures,
    Failure,
    OpenBatch,
    PurchaseBook,
    Send,
    Setback,
)
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest
from components.instructions.request_queue import RequestQueue
from components.instructions.send_judge import SendJudge, Verdict
from components.instructions.sender import GroupResult, ImageT, OpenRequest, PreparedRequest, Sender
from components.instructions.sent_image import ImageUnavailableError
from components.instructions.spending.bill import Bill, bill_of
from components.instructions.spending.money_reserve import MoneyReserve
from components.parameters.instructions import Price
from components.pool.images import ImageError

_LOG = logging.getLogger(__name__)
# Times a request is sent when no reply comes: with the back-off of an endpoint these outlast a minute of trouble.
ATTEMPTS = 6
# Attempts without one usable answer, in a row over all requests, after which a purchase stops: by chance that happens
# to no template that is worth its money, and fifty replies are cents.
BREAKER_FAILURES = 50
# Outcomes in one durable write.
_SETTLED_AT_ONCE = 500
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PurchaseTerms:
    """What a purchase goes by.

    Attributes:
        price: of the model.
        repairs: times a response that breaks a rule is sent back.
        spend_at_most_usd: dollars; of the run, with what it has spent before.
    """

    price: Price
    repairs: int
    spend_at_most_usd: float


class PurchaseLoop(Generic[ImageT]):
    """One purchase. Make it inside the event loop that it runs on.

    Args:
        book: where sends are written down.
        sender: how they are sent.
        terms: what it may take.
    """

    def __init__(self, book: PurchaseBook, sender: Sender[ImageT], *, terms: PurchaseTerms) -> None:
        self._book = book
        self._sender = sender
        self._terms = terms
        self._money = MoneyReserve(terms.spend_at_most_usd)
        self._missing_images = MissingImageRun()
        self._judge = SendJudge(repairs=terms.repairs, attempts=ATTEMPTS, most_failures=BREAKER_FAILURES)
        self._queue = RequestQueue(sender.group_size, self._judge.all_others_are_through)
        self._through: set[str] = set()  # have their outcome, or stay out in a batch
        self._still_out_usd = 0.0
        self._why: Exception | None = None
        self._stopped = asyncio.Event()
        self._changed = asyncio.Event()  # set, and replaced, whenever a queue, the money or this changes
        # Groups are filled one after the other, each as full as can be; single requests are opened side by side.
        self._filling = asyncio.Semaphore(sender.groups_in_flight if sender.group_size == 1 else 1)

    async def collect(self, batch: OpenBatch, bills: Sequence[Bill], result: GroupResult) -> None:
        """Settle what has come of a batch of an earlier purchase, before `buy`.

        Args:
            batch: adopted.
            bills: of each of its sends.
            result: what has come.
        """
        for bill in bills:
            self._money.hold(bill.may_cost_usd)
        self._queue.taken += len(bills)
        # Nothing else is sent now, so that each is judged by what else came of its batch, and by what the ledger knows.
        asked = [replace(one, last=True) for one in await self._as_known(batch.requests)]
        try:
            again = await self._settle(list(zip(asked, bills, strict=True)), result, batch, adopted=True)
        except BatchTakenOverError as taken_over:
            self._leave_to_others(bills, taken_over)
            return
        self._done_with(len(again))  # `buy` finds those that are wanted in the ledger

    async def buy(self, requests: Sequence[IdentifiedRequest]) -> None:
        """Obtain every request; what is in flight is settled before an error is raised.

        Raises:
            BudgetSpentError: there is no money for the next request, and nothing in flight that could leave some.
            ImagesAwayError: the images cannot be read.
            EndpointFailsError: some requests had no reply after all attempts.
        """
        if self._why is not None:  # so said the batches that earlier purchases left
            raise self._why
        wanted = [one for one in requests if one.request_id not in self._through]
        self._money.spent_usd = await _in_thread(lambda: self._book.run_spent_usd) + self._still_out_usd
        # A run that ended after an unusable reply goes on with its repair: the reply is paid for.
        self._queue.add(await self._as_known(wanted))
        lines = min(self._sender.groups_in_flight, len(wanted))
        for error in await asyncio.gather(*(self._serve_groups() for _ in range(lines)), return_exceptions=True):
            if error is not None:
                raise error
        if self._why is not None:
            raise self._why
        unanswered = self._judge.unanswered
        if unanswered:
            raise self._nobody_passes(
                f"{len(unanswered):,} of {len(requests):,} requests had no reply after {ATTEMPTS} attempts (the "
                f"last: {unanswered[-1].detail})"
            )

    async def _as_known(self, requests: Sequence[IdentifiedRequest]) -> list[OpenRequest]:
        """Requests with what earlier purchases have come to."""
        ids = [one.request_id for one in requests]
        replies = await _in_thread(self._book.unusable_replies, ids)
        failures = await _in_thread(self._book.earlier_failures, ids)
        known = []
        for one in requests:
            found, failed = tuple(replies.get(one.request_id, ())), failures.get(one.request_id, EarlierFailures())
            known.append(
                OpenRequest(
                    one,
                    "repair" if found else "first",
                    found,
                    failures=failed.sends,
                    others_answered=failed.sends > 0,
                    others_answered_before=failed.others_answered,
                )
            )
        return known

    def _nobody_passes(self, said: str) -> Exception:
        """The error of a purchase that ends because not single requests are at fault."""
        if self._judge.refusal is not None:
            return self._judge.refusal
        return self._sender.nothing_usable(
            f"{said}, and no other was answered meanwhile. Everything that came is kept, and nothing is given up"
        )

    async def _serve_groups(self) -> None:
        finished = False
        try:
            while group := await self._next_group():
                await self._serve(group)
            finished = True
        except (PurchaseStoppedError, EndpointFailsError) as why:
            self._stop(why)
        finally:
            if not finished:  # for another reason, such as a ledger that is away: nobody may send any more
                self._stopped.set()
                self._notify()

    async def _next_group(self) -> list[PreparedRequest[ImageT]]:
        """Fill the next group with what there is money for; empty when nothing is left, or the purchase stops."""
        group: list[PreparedRequest[ImageT]] = []
        size = 0
        async with self._filling:
            while len(group) < self._sender.group_size and size < self._sender.group_bytes:
                asked = None if self._stopped.is_set() else self._queue.take(len(group))
                if asked is None:
                    if group or not self._queue.taken or self._stopped.is_set():
                        break
                    await self._changed.wait()
                    continue
                opened = await self._open(asked)
                if opened is None:
                    continue
                prepared, image_bytes = opened
                if not await self._reserve(prepared.bill, wait=not group):
                    self._queue.put_back(asked)
                    self._notify()
                    break
                group.append(prepared)
                size += image_bytes
        return group

    async def _open(self, asked: OpenRequest) -> tuple[PreparedRequest[ImageT], int] | None:
        """Open the image of a request; None when it cannot be had, and then that is written down."""
        identified = asked.identified
        try:
            image, size = await _in_thread(self._sender.open_image, identified.request)
        except ImageUnavailableError as error:
            self._done_with(1)
            self._book.leave_out(identified, reason=error.reason, detail=error.detail)
            self._missing_images.unavailable(identified.request.uri, error)
            return None
        except ImageError as error:
            if (await _in_thread(self._book.announce, [Send(identified)]))[0]:
                failure = Failure(identified.request_id, error.reason, error.detail)
                await _in_thread(self._book.settle, [failure])
            self._done_with(1)
            return None
        self._missing_images.available()
        batch = self._sender.batches_at is not None
        bill = bill_of(identified, image, price=self._terms.price, batch=batch, repair=asked.repair)
        return PreparedRequest(asked, image, bill), size

    async def _reserve(self, bill: Bill, *, wait: bool) -> bool:
        """Set money aside; what is in flight mostly takes less than was set aside for it, and can be waited for."""
        while not self._money.reserve(bill.may_cost_usd):
            if not wait or self._stopped.is_set():
                return False
            if not self._money.in_flight:
                self._stop(self._money.spent_error(bill.may_cost_usd))
                return False
            await self._changed.wait()
        return True

    async def _serve(self, group: list[PreparedRequest[ImageT]]) -> None:
        """Send a group and settle it; what is to be sent again goes back into the queue, after a pause."""
        tokens = sum(one.bill.tokens for one in group)
        if not await self._unless_stopped(self._sender.wait_for_limits(tokens)):
            self._let_go([one.bill for one in group])
            return
        granted, batch = await _in_thread(self._announce, group)
        if len(granted) < len(group):
            held = {one.open_request.identified.request_id for one in granted}
            self._let_go([one.bill for one in group if one.open_request.identified.request_id not in held])
        group.clear()
        if not granted:
            return
        asked = [(one.open_request, one.bill) for one in granted]
        replies_before = self._judge.replies
        try:
            result = await self._sender.send(granted, batch)
            again = await self._settle(asked, result, batch, replies_before=replies_before)
        except BatchTakenOverError as taken_over:
            self._leave_to_others([bill for _, bill in asked], taken_over)
            return
        if again:
            if result.pause_seconds:
                await self._unless_stopped(asyncio.sleep(result.pause_seconds))
            self._queue.add(again)
            self._done_with(len(again))

    def _announce(
        self, group: Sequence[PreparedRequest[ImageT]]
    ) -> tuple[list[PreparedRequest[ImageT]], OpenBatch | None]:
        """Announce a group; returns what of it may be sent, and the batch that it goes out in."""
        sends, batch = [one.send for one in group], None
        if self._sender.batches_at is None:
            may = self._book.announce(sends)
        else:
            number, may = self._book.announce_batch("batch", sends, endpoint=self._sender.batches_at)
            batch = OpenBatch(number, "", tuple(send for send, sent in zip(sends, may, strict=True) if sent))
            if not batch.sends:
                self._book.close_batch(number, sent=False)
        return [one for one, sent in zip(group, may, strict=True) if sent], batch

    async def _settle(
        self,
        asked: Sequence[tuple[OpenRequest, Bill]],
        result: GroupResult,
        batch: OpenBatch | None,
        *,
        replies_before: int | None = None,
        adopted: bool = False,
    ) -> list[OpenRequest]:
        """Judge and settle what came of a group; returns what is to be sent again, which counts as taken still.

        Args:
            asked: what was sent, and what it takes at most.
            result: what came of it.
            batch: that it went out in.
            replies_before: replies that the purchase had had when it was sent; None: as many as now.
            adopted: an earlier purchase sent it.
        """
        came = [
            (one, bill, reply) for (one, bill), reply in zip(asked, result.replies, strict=True) if reply is not None
        ]
        before = self._judge.replies if replies_before is None else replies_before
        verdicts = self._judge.judge_group(came, replies_before=before)
        outcomes = [verdict.outcome for verdict in verdicts]
        for start in range(0, len(outcomes), _SETTLED_AT_ONCE):
            await _in_thread(self._book.settle, outcomes[start : start + _SETTLED_AT_ONCE])
        if batch is not None and result.complete:
            await _in_thread(self._book.close_batch, batch.number)
        for (_, bill, _), outcome in zip(came, outcomes, strict=True):
            unknown = isinstance(outcome, Setback) and outcome.outcome == "unknown"
            self._money.book(bill.may_cost_usd, bill.may_cost_usd if unknown else outcome.price_usd)
            if not isinstance(outcome, Setback):
                self._through.add(outcome.request_id)
        for (one, bill), reply in zip(asked, result.replies, strict=True):
            if reply is None:  # out in its batch: until it is collected it counts at its highest cost
                self._through.add(one.identified.request_id)
                self._money.book(bill.may_cost_usd, bill.may_cost_usd)
                self._still_out_usd += bill.may_cost_usd
        self._stop_if_at_fault(verdicts, [reply for _, _, reply in came], group=batch is not None, adopted=adopted)
        if result.stop is not None:
            self._stop(result.stop)
        again = [verdict.again for verdict in verdicts if verdict.again is not None]
        self._done_with(len(asked) - len(again))
        return again

    def _stop_if_at_fault(
        self, verdicts: Sequence[Verdict], replies: Sequence[Reply | SendFailure], *, group: bool, adopted: bool
    ) -> None:
        """End the purchase when the account, the endpoint or the prompts are at fault, and not single requests."""
        for verdict in verdicts:
            if verdict.stop is not None:
                self._stop(verdict.stop)
        said = self._judge.too_many_in_a_row(verdicts)
        if said is not None:
            self._stop(self._judge.refusal or self._sender.nothing_usable(said))
        # A batch takes hours; one that came to nothing is not sent again before a person has looked.
        failure = self._judge.all_failed(verdicts, replies) if group else None
        if failure is not None and (adopted or len(replies) > 1):
            self._stop(
                self._nobody_passes(
                    f"not one of {len(replies):,} requests of a batch had a reply (the last: {failure.detail})"
                )
            )

    def _leave_to_others(self, bills: Sequence[Bill], taken_over: BatchTakenOverError) -> None:
        """Another purchase took a batch while this one was not seen alive: it settles what comes of it."""
        _LOG.warning("%s; it is left to that run", taken_over)
        self._let_go(bills)

    def _let_go(self, bills: Sequence[Bill]) -> None:
        """Be done with requests that are not sent."""
        for bill in bills:
            self._money.book(bill.may_cost_usd, 0.0)
        self._done_with(len(bills))

    def _done_with(self, count: int) -> None:
        self._queue.taken -= count
        self._notify()

    def _stop(self, why: Exception) -> None:
        if self._why is None:
            self._why = why
            _LOG.warning("the purchase ends when what is in flight is settled: %s", why)
        self._stopped.set()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _unless_stopped(self, waiting: Coroutine[Any, Any, object]) -> bool:
        """Wait, but not when the purchase stops; True when the wait came to its end."""
        wait, stop = asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({wait, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            wait.cancel()
        return not self._stopped.is_set()


async def _in_thread(action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call something that blocks, in the caller's context: who listens to progress there is told from the thread.

    It is done also when nobody waits for it any more, because the purchase is interrupted: a reply in hand is settled.
    """
    run = partial(contextvars.copy_context().run, action, *arguments, **options)
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, run))
