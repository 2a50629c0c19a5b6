"""Provider `batch`: requests written to files, handed to a batch service or to `vllm run-batch`, and collected."""

from collections.abc import Sequence

from components.instructions.batch.purchase import BatchPurchase
from components.instructions.batch.service import open_batch_service
from components.instructions.chat import chat_specification
from components.instructions.provider import PurchaseBook
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.spending.prices import find_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters


class BatchProvider:
    """Asks in batches; see `components.instructions.provider.InstructionProvider`.

    A request has the same identity here as with provider `openai`: what one has bought the other does not buy again.

    Args:
        parameters: who is asked, and what.
        purchase: limits, money, the endpoint.
        pixel_limit: pixels above which an image is not decoded.

    Raises:
        UnknownPriceError: the model has no price.
    """

    name = "batch"

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
        """Collect the batches that are out, then send what is missing, until nothing is.

        Raises:
            BudgetSpentError: `purchase.spend_at_most_usd` is reached.
            BatchNotDoneError: the files are written and somebody has to run them (`purchase.batch.submit: false`).
            EndpointRefusedError: the endpoint takes no requests at all.
            EndpointFailsError: nothing usable comes, or some requests had no reply in `purchase.attempts` batches.
        """
        with open_batch_service(self._purchase) as service:
            bought = BatchPurchase(
                book,
                service,
                parameters=self._parameters,
                purchase=self._purchase,
                price=self._price,
                pixel_limit=self._pixel_limit,
            )
            bought.collect_earlier()
            bought.buy(requests)
