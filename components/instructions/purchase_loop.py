"""The purchase loop: fill groups, announce, send, judge, settle, until all is through.

Every provider that is paid buys through it; what differs between them is a `Sender`. As many groups as may be in flight
are served side by side on one event loop; images are opened and the ledger is written in threads.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from components.instructions.group_filler import GroupFiller
from components.instructions.known_requests import known_requests
from components.instructions.provider import Answer, BatchTakenOverError, OpenBatch, PurchaseBook, Setback
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from components.instructions.purchase_signals import PurchaseSignals, in_thread
from components.instructions.reply import SendFailure
from components.instructions.request import IdentifiedRequest, RequestSpecification
from components.instructions.request_queue import RequestQueue
from components.instructions.send_judge import SendJudge, Sent, Verdict
from components.instructions.sender import GroupResult, ImageT, OpenRequest, PreparedRequest, Sender
from components.instructions.spending.bill import Bill
from components.instructions.spending.money_reserve import MoneyReserve
from components.instructions.witness import find_witnesses
from components.parameters.instructions import Price

_LOG = logging.getLogger(__name__)
# Times a request is sent when no reply comes: with the back-off of an endpoint these outlast a minute of trouble.
ATTEMPTS = 6
# Attempts without one usable answer, in a row over all requests, after which a purchase stops: by chance that happens
# to no template that is worth its money, and fifty replies are cents.
BREAKER_FAILURES = 50
# Outcomes in one durable write.
_SETTLED_AT_ONCE = 500


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
        self._money = MoneyReserve(terms.spend_at_most_usd)
        self._judge = SendJudge(repairs=terms.repairs, attempts=ATTEMPTS, most_failures=BREAKER_FAILURES)
        self._signals = PurchaseSignals()
        self._queue = RequestQueue(sender.group_size, self._signals, one_waits=sender.batches_at is None)
        self._filler = GroupFiller(book, sender, self._queue, self._money, self._signals, price=terms.price)
        self._through: set[str] = set()  # have their outcome, or stay out in a batch
        self._still_out = False  # something of a batch
        self._still_out_usd = 0.0
        # Of the breaker: what the purchase ends with unless somebody passes, and how what failed last was put.
        self._many_failed: tuple[Exception, RequestSpecification] | None = None

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
        known = await known_requests(self._book, batch.requests)
        asked = [
            OpenRequest(send.request, "witness") if send.kind == "witness" else one
            for send, one in zip(batch.sends, known, strict=True)
        ]
        try:
            began = self._judge.suspects.begin()
            again = await self._settle(list(zip(asked, bills, strict=True)), result, batch, began=began, adopted=True)
        except BatchTakenOverError as taken_over:
            self._leave_to_others(bills, taken_over)
            return
        self._queue.done_with(len(again))
        self._judge.suspects.left.clear()  # `buy` finds those that are wanted in the ledger, as it does those

    async def buy(self, requests: Sequence[IdentifiedRequest]) -> None:
        """Obtain every request; what is in flight is settled before an error is raised.

        Raises:
            BudgetSpentError: there is no money for the next request, and nothing in flight that could leave some.
            ImagesAwayError: the images cannot be read.
            NothingUsableError: some requests had no reply after all attempts, and nobody passes them; or nothing usable
                comes.
        """
        if self._signals.why is not None:  # so said the batches that earlier purchases left
            raise self._signals.why
        wanted = [one for one in requests if one.request_id not in self._through]
        self._money.spent_usd = await in_thread(lambda: self._book.run_spent_usd) + self._still_out_usd
        # A run that ended after an unusable reply goes on with its repair: the reply is paid for.
        known = await known_requests(self._book, wanted)
        self._queue.add(one for one in known if self._book.asks_again or not self._judge.is_through(one))
        lines = min(self._sender.groups_in_flight, len(wanted))
        await self._serve_all(lines)
        while self._queue.last:
            self._queue.let_last_go()
            await self._serve_all(lines)
        await self._give_up_passed()
        suspects = self._judge.suspects
        # What is out in a batch may pass them yet, when it comes.
        if suspects.left and not self._still_out:
            await self._ask_witness(suspects.left[0].identified.specification, until=lambda: not suspects.left)
            why = self._judge.left_over(of=len(requests))
            if self._signals.why is not None:
                raise self._signals.why
            if why is not None and not self._still_out:
                raise self._nobody_passes(why)

    async def _give_up_passed(self) -> None:
        passed = self._judge.suspects.take_passed()
        if passed:
            await in_thread(self._book.give_up, passed)
            self._through.update(passed)

    async def _ask_witness(self, specification: RequestSpecification, *, until: Callable[[], bool]) -> None:
        """Ask somebody who was answered before, if there is one, and again where that shows nothing.

        Args:
            specification: how it has to be put.
            until: whether enough is known.
        """
        found = await find_witnesses(self._book, self._sender, specification, times=ATTEMPTS)
        for asked in found:
            if until() or self._still_out or self._signals.stopped:
                return
            _LOG.info("nobody passes what is left: one that was answered is asked once more")
            group = await self._filler.group_of(asked)
            if group:
                await self._send(group)

    def _nobody_passes(self, said: str) -> Exception:
        """The error of a purchase that ends because not single requests are at fault."""
        if self._judge.refusal is not None:
            return self._judge.refusal
        return self._sender.nothing_usable(
            f"{said}, and no other was answered meanwhile. Everything that came is kept, and nothing is given up"
        )

    async def _serve_all(self, lines: int) -> None:
        """Serve so many groups at a time until nothing waits but the last tries.

        Raises:
            Exception: what the purchase ends with.
        """
        while True:
            for error in await asyncio.gather(*(self._serve_groups() for _ in range(lines)), return_exceptions=True):
                if error is not None:
                    raise error
            why = self._signals.why
            if why is None:
                return
            if self._many_failed is None or why is not self._many_failed[0]:
                raise why
            # Either these are at fault, however many they are, or the endpoint is.
            self._signals.go_on()
            if self._sender.batches_at is None:  # a batch has its witness among its own lines
                await self._ask_witness(self._many_failed[1], until=lambda: self._judge.is_row_broken)
            if self._signals.why is not None or not self._judge.is_row_broken:
                raise self._signals.why or why

    async def _serve_groups(self) -> None:
        finished = False
        try:
            while group := await self._filler.next_group():
                await self._serve(group)
            finished = True
        except (PurchaseStoppedError, EndpointFailsError) as why:
            self._signals.stop(why)
        finally:
            if not finished:  # for another reason, such as a ledger that is away: nobody may send any more
                self._signals.stop(None)

    async def _serve(self, group: list[PreparedRequest[ImageT]]) -> None:
        """Send a group; what is to be sent again goes back into the queue."""
        again = await self._send(group)
        self._queue.add(again)
        self._queue.done_with(len(again))

    async def _send(self, group: list[PreparedRequest[ImageT]]) -> list[OpenRequest]:
        """Send a group and settle it; returns, after a pause, what is to be sent again and counts as taken still."""
        tokens = sum(one.bill.tokens for one in group)
        if not await self._signals.unless_stopped(self._sender.wait_for_limits(tokens)):
            for one in group:
                self._money.book(one.bill.may_cost_usd, 0.0)
            return [one.open_request for one in group]
        granted, batch = await in_thread(self._announce, group)
        if len(granted) < len(group):
            held = {one.open_request.identified.request_id for one in granted}
            self._let_go([one.bill for one in group if one.open_request.identified.request_id not in held])
        group.clear()
        if not granted:
            return []
        asked = [(one.open_request, one.bill) for one in granted]
        began = self._judge.suspects.begin()
        try:
            result = await self._sender.send(granted, batch)
            again = await self._settle(asked, result, batch, began=began)
        except BatchTakenOverError as taken_over:
            self._leave_to_others([bill for _, bill in asked], taken_over)
            return []
        if result.pause_seconds and (again or asked[0][0].is_witness):
            await self._signals.unless_stopped(asyncio.sleep(result.pause_seconds))
        return again

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
            witnesses = [send.kind == "witness" for send in batch.sends]
            if all(witnesses) and len(sends) > len(witnesses):  # others have what it was to stand beside
                self._book.close_batch(number, sent=False)
                return [], batch
        return [one for one, sent in zip(group, may, strict=True) if sent], batch

    async def _settle(
        self,
        asked: Sequence[tuple[OpenRequest, Bill]],
        result: GroupResult,
        batch: OpenBatch | None,
        *,
        began: int,
        adopted: bool = False,
    ) -> list[OpenRequest]:
        """Judge and settle what came of a group; returns what is to be sent again, which counts as taken still.

        Args:
            asked: what was sent, and what it takes at most.
            result: what came of it.
            batch: that it went out in.
            began: number of the send.
            adopted: an earlier purchase sent it.
        """
        came = [
            (one, bill, reply) for (one, bill), reply in zip(asked, result.replies, strict=True) if reply is not None
        ]
        verdicts = self._judge.judge_group(came, began=began, batch=batch is not None)
        outcomes = [verdict.outcome for verdict in verdicts]
        for start in range(0, len(outcomes), _SETTLED_AT_ONCE):
            await in_thread(self._book.settle, outcomes[start : start + _SETTLED_AT_ONCE])
        self._judge.suspects.left += [verdict.suspect for verdict in verdicts if verdict.suspect is not None]
        if batch is not None and result.complete:
            await in_thread(self._book.close_batch, batch.number)
        for (_, bill, _), outcome in zip(came, outcomes, strict=True):
            unknown = isinstance(outcome, Setback) and outcome.outcome == "unknown"
            self._money.book(bill.may_cost_usd, bill.may_cost_usd if unknown else outcome.price_usd)
            if isinstance(outcome, Answer):
                self._through.add(outcome.request_id)
        for (one, bill), reply in zip(asked, result.replies, strict=True):
            if reply is None:  # out in its batch: until it is collected it counts at its highest cost
                self._through.add(one.identified.request_id)
                self._money.book(bill.may_cost_usd, bill.may_cost_usd)
                self._still_out_usd += bill.may_cost_usd
                self._still_out = True
        await self._give_up_passed()
        self._stop_if_at_fault(verdicts, came, batch=batch is not None, adopted=adopted)
        if result.stop is not None:
            self._signals.stop(result.stop)
        again = [verdict.again for verdict in verdicts if verdict.again is not None]
        self._queue.done_with(len(asked) - len(again))
        return again

    def _stop_if_at_fault(
        self, verdicts: Sequence[Verdict], sent: Sequence[Sent], *, batch: bool, adopted: bool
    ) -> None:
        """End the purchase when the account, the endpoint or the prompts are at fault, and not single requests.

        Args:
            verdicts: on what was sent together.
            sent: what that was, and what came of it.
            batch: it was sent as a batch.
            adopted: an earlier purchase sent it.
        """
        for verdict in verdicts:
            if verdict.stop is not None:
                self._signals.stop(verdict.stop)
        said = self._judge.too_many_in_a_row(verdicts)
        by_witness = len(sent) == 1 and sent[0][0].is_witness  # whoever asks it draws the conclusion
        if said is not None and not by_witness:
            why = self._judge.refusal or self._sender.nothing_usable(said)
            asked, _, reply = sent[-1]
            if isinstance(reply, SendFailure) and self._signals.why is None:
                self._many_failed = (why, asked.identified.specification)
            self._signals.stop(why)
        # A batch takes hours; one that came to nothing is not sent again before a person has looked.
        failure = self._judge.all_failed(verdicts, sent) if batch else None
        if failure is not None and (adopted or len(sent) > 1):
            last = f"{failure.reason}: {failure.detail}"
            said = f"not one of {len(sent):,} requests of a batch had a reply (the last: {last})"
            self._signals.stop(self._nobody_passes(said))

    def _leave_to_others(self, bills: Sequence[Bill], taken_over: BatchTakenOverError) -> None:
        """Another purchase took a batch while this one was not seen alive: it settles what comes of it."""
        _LOG.warning("%s; it is left to that run", taken_over)
        self._let_go(bills)

    def _let_go(self, bills: Sequence[Bill]) -> None:
        """Be done with requests that are not sent."""
        for bill in bills:
            self._money.book(bill.may_cost_usd, 0.0)
        self._queue.done_with(len(bills))
