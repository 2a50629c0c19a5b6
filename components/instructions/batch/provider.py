"""Provider `batch`: requests written to files, handed to a batch service or to `vllm run-batch`, and collected."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from components.instructions.batch.sender import FOLDER, REQUESTS_PER_FILE, BatchSender
from components.instructions.batch.service import BatchFailedError, BatchGoneError, open_batch_service
from components.instructions.chat_provider import ChatProvider, ChatPurchase
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.provider import OpenBatch, PurchaseBook
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from components.instructions.purchase_loop import PurchaseLoop
from components.instructions.request import IdentifiedRequest
from components.instructions.sent_image import SentImage
from components.instructions.spending.bill import Bill
from components.instructions.spending.prices import UnknownPriceError, find_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters

_LOG = logging.getLogger(__name__)


class UncollectedError(PurchaseStoppedError):
    """Several earlier batches cannot be collected."""


class UnpricedBatchError(PurchaseStoppedError):
    """Nobody says what the requests of an earlier batch cost."""


def batch_provider(
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
    *,
    pixel_limit: int,
    folder: Path = FOLDER,
    requests_per_file: int = REQUESTS_PER_FILE,
) -> ChatProvider:
    """Ask in batches; see `ChatProvider`.

    Batches that are out are collected first; then what is missing is sent, until nothing is. Where
    `purchase.batch.submit` is false the files are written, and the purchase ends with what somebody has to run
    (`BatchNotDoneError`).
    """
    buy = partial(_buy, folder=folder, requests_per_file=requests_per_file)
    return ChatProvider("batch", parameters, purchase, pixel_limit=pixel_limit, buy=buy)


async def _buy(
    requests: Sequence[IdentifiedRequest],
    book: PurchaseBook,
    bought: ChatPurchase,
    *,
    folder: Path,
    requests_per_file: int,
) -> None:
    with open_batch_service(bought.purchase, folder=folder) as service:
        sender = BatchSender(service, book, bought, folder=folder, requests_per_file=requests_per_file)
        loop: PurchaseLoop[SentImage] = PurchaseLoop(book, sender, terms=bought.terms)
        await _collect_earlier(book.adopt_batches("batch", endpoint=service.address), sender, loop, bought)
        await loop.buy(requests)
        sender.raise_if_not_run()


async def _collect_earlier(
    batches: Sequence[OpenBatch], sender: BatchSender, loop: PurchaseLoop[SentImage], bought: ChatPurchase
) -> None:
    """Settle what has come of the batches that purchases which ended have left out, of each by itself.

    Raises:
        UncollectedError: some cannot be collected, by name and with what to do; what came of the others is settled.
    """
    failed: list[PurchaseStoppedError | EndpointFailsError] = []
    for batch in batches:
        try:
            await _collect(batch, sender, loop, bought)
        except (BatchGoneError, UnpricedBatchError, EndpointRefusedError, EndpointFailsError) as error:
            _LOG.warning("%s", error)
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    # Those that only did not answer may do so a little later; where anything else is among them, a person looks.
    lasting = [error for error in failed if isinstance(error, PurchaseStoppedError)]
    if lasting:
        raise UncollectedError("; ".join(str(error) for error in failed))
    if failed:
        raise EndpointFailsError("; ".join(str(error) for error in failed))


async def _collect(batch: OpenBatch, sender: BatchSender, loop: PurchaseLoop[SentImage], bought: ChatPurchase) -> None:
    named = await sender.named(batch)
    if named is None:
        return
    bills = _bills(named, bought.purchase)
    result = await sender.collect(named)
    if isinstance(result.stop, BatchFailedError | EndpointRefusedError):
        # A person may have put it right since; if not, the next batch says so again.
        _LOG.warning("of an earlier batch: %s", result.stop)
        result = replace(result, stop=None)
    await loop.collect(named, bills, result)


def _bills(batch: OpenBatch, purchase: PurchaseParameters) -> list[Bill]:
    """Every request is booked at its own model's price, whatever this purchase asks.

    Raises:
        UnpricedBatchError: a model in it has no price.
    """
    try:
        prices = {
            model: find_price(purchase.prices, model) for model in {one.specification.model for one in batch.requests}
        }
    except UnknownPriceError as error:
        raise UnpricedBatchError(
            f"batch {batch.number} {batch.reference} was sent by an earlier run: {error}. Until then it stays open"
        ) from None
    return [Bill(0, send.may_cost_usd, prices[send.request.specification.model], batch=True) for send in batch.sends]
