"""What one send takes at most, in tokens and dollars."""

import json
from dataclasses import dataclass
from typing import Protocol

from components.instructions.chat import Repair, prompt_of, repair_text, response_format
from components.instructions.request import IdentifiedRequest
from components.instructions.spending.prices import image_tokens, token_cost
from components.instructions.spending.tokens import estimate_tokens
from components.parameters.instructions import Price


class SizedImage(Protocol):
    """An image as the model gets it."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def height(self) -> int:
        """Pixels."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What one send takes at most.

    Attributes:
        tokens: sent and received.
        may_cost_usd: dollars.
        price: of the model.
        batch: bought in a batch.
    """

    tokens: int
    may_cost_usd: float
    price: Price
    batch: bool


def bill_of(
    identified: IdentifiedRequest, image: SizedImage, *, price: Price, batch: bool, repair: Repair | None = None
) -> Bill:
    """Work out what a send takes at most: all of the allowed output.

    Args:
        identified: the request.
        image: as sent.
        price: of the model.
        batch: bought in a batch.
        repair: what is sent back with it; None the first time.
    """
    template, prompt = prompt_of(identified)
    sampling = json.loads(identified.specification.sampling)
    form = response_format(sampling["structured_output"], template)
    messages = [prompt.system, prompt.user]
    if repair is not None:
        messages += [repair.response, repair_text(repair, template)]
    sent = estimate_tokens(
        messages,
        image_tokens=image_tokens(price.image_tokens, image.width, image.height),
        promised_form="" if form is None else json.dumps(form),
    ).at_most
    received = int(sampling["max_output_tokens"])
    cost = token_cost(price, input_tokens=sent, output_tokens=received, batch=batch)
    return Bill(sent + received, cost, price, batch)
