"""Fills the groups of a purchase: takes requests, opens their images, and sets money aside for them."""

import asyncio
from typing import Generic

from components.instructions.images_away import MissingImageRun
from components.instructions.provider import Failure, PurchaseBook, Send
from components.instructions.purchase_signals import PurchaseSignals, in_thread
from components.instructions.request_queue import RequestQueue
from components.instructions.sender import ImageT, OpenRequest, PreparedRequest, Sender
from components.instructions.sent_image import ImageUnavailableError
from components.instructions.spending.bill import Bill, bill_of
from components.instructions.spending.money_reserve import MoneyReserve
from components.instructions.witness import find_witnesses
from components.parameters.instructions import Price
from components.pool.images import ImageError


class GroupFiller(Generic[ImageT]):
    """Fills groups. Make it inside the event loop that the purchase runs on.

    Args:
        book: where images that cannot be had are written down.
        sender: how groups are sent.
        queue: where requests come from.
        money: set aside here, booked when a group is settled.
        signals: of the purchase.
        price: of the model.
    """

    def __init__(
        self,
        book: PurchaseBook,
        sender: Sender[ImageT],
        queue: RequestQueue,
        money: MoneyReserve,
        signals: PurchaseSignals,
        *,
        price: Price,
    ) -> None:
        self._book = book
        self._sender = sender
        self._queue = queue
        self._money = money
        self._signals = signals
        self._price = price
        self._missing_images = MissingImageRun()
        # Groups are filled one after the other, each as full as can be; single requests are opened side by side.
        self._filling = asyncio.Semaphore(sender.groups_in_flight if sender.group_size == 1 else 1)

    async def next_group(self) -> list[PreparedRequest[ImageT]]:
        """Fill the next group with what there is money for; empty when nothing is left, or the purchase stops."""
        group: list[PreparedRequest[ImageT]] = []
        size = 0
        async with self._filling:
            while len(group) < self._sender.group_size and size < self._sender.group_bytes:
                asked = None if self._signals.stopped else self._queue.take(len(group))
                if asked is None:
                    if group or not self._queue.taken or self._signals.stopped:
                        break
                    await self._signals.change()
                    continue
                opened = await self._open(asked)
                if opened is None:
                    continue
                prepared, image_bytes = opened
                if not await self._reserve(prepared.bill, wait=not group):
                    self._queue.put_back(asked)
                    break
                group.append(prepared)
                size += image_bytes
            await self._add_witness(group)
        return group

    async def group_of(self, asked: OpenRequest) -> list[PreparedRequest[ImageT]]:
        """A group of one that does not come from the queue; empty when it cannot be sent."""
        self._queue.taken += 1
        opened = await self._open(asked)
        if opened is None:
            return []
        if await self._reserve(opened[0].bill, wait=True):
            return [opened[0]]
        self._queue.done_with(1)
        return []

    async def _add_witness(self, group: list[PreparedRequest[ImageT]]) -> None:
        """Put somebody who was answered beside those of whose last batch nobody was."""
        in_doubt = group and all(one.open_request.in_doubt for one in group)
        if self._sender.batches_at is None or not in_doubt:
            return
        specification = group[0].open_request.identified.specification
        found = await find_witnesses(self._book, self._sender, specification, times=1)
        if not found:
            return
        [asked] = found
        self._queue.taken += 1
        opened = await self._open(asked)
        if opened is None:
            return
        if self._money.reserve(opened[0].bill.may_cost_usd):
            group.append(opened[0])
        else:
            self._queue.done_with(1)

    async def _open(self, asked: OpenRequest) -> tuple[PreparedRequest[ImageT], int] | None:
        """Open the image of a request; None when it cannot be had, and then that is written down."""
        identified = asked.identified
        try:
            image, size = await in_thread(self._sender.open_image, identified.request)
        except ImageUnavailableError as error:
            self._queue.done_with(1)
            self._book.leave_out(identified, reason=error.reason, detail=error.detail)
            self._missing_images.unavailable(identified.request.uri, error)
            return None
        except ImageError as error:
            if (await in_thread(self._book.announce, [Send(identified)]))[0]:
                failure = Failure(identified.request_id, error.reason, error.detail)
                await in_thread(self._book.settle, [failure])
            self._queue.done_with(1)
            return None
        self._missing_images.available()
        batch = self._sender.batches_at is not None
        bill = bill_of(identified, image, price=self._price, batch=batch, repair=asked.repair)
        return PreparedRequest(asked, image, bill), size

    async def _reserve(self, bill: Bill, *, wait: bool) -> bool:
        """Set money aside; what is in flight mostly takes less than was set aside for it, and can be waited for."""
        while not self._money.reserve(bill.may_cost_usd):
            if not wait or self._signals.stopped:
                return False
            if not self._money.in_flight:
                self._signals.stop(self._money.spent_error(bill.may_cost_usd))
                return False
            await self._signals.change()
        return True
