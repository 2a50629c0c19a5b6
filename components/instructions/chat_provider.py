"""Providers that have an endpoint's chat model write: `openai` and `batch` differ in how they send alone."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from components.instructions.chat import chat_body, chat_specification
from components.instructions.provider import PurchaseBook
from components.instructions.purchase_loop import PurchaseTerms
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sender import OpenRequest
from components.instructions.sent_image import SentImage, prepare_image
from components.instructions.spending.prices import find_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters


@dataclass(frozen=True, slots=True)
class ChatPurchase:
    """What a purchase from an endpoint goes by.

    Attributes:
        parameters: who is asked, and what.
        purchase: limits, money, the endpoint.
        terms: price and limits of the purchase loop.
        pixel_limit: pixels above which an image is not decoded.
    """

    parameters: InstructionParameters
    purchase: PurchaseParameters
    terms: PurchaseTerms
    pixel_limit: int

    def open_image(self, request: InstructionRequest) -> tuple[SentImage, int]:
        """An image as it is sent, and its bytes in base64; see `components.instructions.sender.Sender`."""
        limit = self.parameters.image_limit
        image = prepare_image(request.uri, image_sha=request.image_sha, limit=limit, pixel_limit=self.pixel_limit)
        return image, len(image.data) * 4 // 3

    def body(self, asked: OpenRequest, image: SentImage) -> dict[str, object]:
        """What is sent, by itself or in a line of a batch."""
        return chat_body(asked.identified, image, repair=asked.repair, output_limit=self.purchase.output_limit)


class ChatProvider:
    """Asks an endpoint's model; see `components.instructions.provider.InstructionProvider`.

    Whatever way requests are sent, they have the same identity: what one way has bought the other does not buy again.

    Args:
        name: what the ledger calls it.
        parameters: who is asked, and what.
        purchase: limits, money, the endpoint.
        pixel_limit: pixels above which an image is not decoded.
        buy: obtains every request through the purchase loop.

    Raises:
        UnknownPriceError: the model has no price.
    """

    def __init__(
        self,
        name: str,
        parameters: InstructionParameters,
        purchase: PurchaseParameters,
        *,
        pixel_limit: int,
        buy: Callable[[Sequence[IdentifiedRequest], PurchaseBook, ChatPurchase], Coroutine[Any, Any, None]],
    ) -> None:
        price = find_price(purchase.prices, parameters.model)
        terms = PurchaseTerms(price, parameters.repairs, purchase.spend_at_most_usd)
        self.name = name
        self._bought = ChatPurchase(parameters, purchase, terms, pixel_limit)
        self._buy = buy

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """The model, the task's template and the sampling parameters."""
        return [chat_specification(request, self._bought.parameters) for request in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """None: every instruction has to be written."""
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Buy; see `components.instructions.purchase_loop.PurchaseLoop.buy` for what may end it."""
        asyncio.run(self._buy(requests, book, self._bought))
