"""What instructions will take, in tokens and dollars, worked out from templates and image sizes beforehand."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.instructions.open_provider import PROVIDERS
from components.instructions.prompts import PromptTemplate, fill_in, load_template
from components.instructions.request import InstructionRequest
from components.instructions.sent_image import sent_size
from components.instructions.spending.prices import find_price, image_tokens, token_cost
from components.instructions.spending.tokens import estimate_tokens
from components.parameters.instructions import InstructionParameters, Price, PurchaseParameters

# Enough for a mean.
_IMAGES_PER_TASK = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and dollars, of one instruction or of many.

    Attributes:
        requests: instructions.
        input_tokens: to be sent.
        output_tokens: to be received.
        price_usd: dollars.
        highest_usd: dollars when every response is as long as it may be.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    price_usd: float = 0.0
    highest_usd: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        """Both together."""
        return Estimate(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.price_usd + other.price_usd,
            self.highest_usd + other.highest_usd,
        )


@dataclass(frozen=True, slots=True)
class UnitCost:
    """What one instruction of a task takes on average.

    Attributes:
        input_tokens: to be sent.
        output_tokens: to be received.
        price_usd: dollars.
    """

    input_tokens: float
    output_tokens: float
    price_usd: float


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Width and height, pixels."""

    width: int
    height: int


def estimate_request(
    request: InstructionRequest,
    *,
    template: PromptTemplate,
    size: ImageSize,
    price: Price,
    image_limit: int,
    max_output_tokens: int,
    batch: bool,
) -> Estimate:
    """Estimate one request, sent once.

    Args:
        request: the image and its task.
        template: of the task.
        size: of the image.
        price: of the model.
        image_limit: pixels of the longer side as sent.
        max_output_tokens: of one response at most.
        batch: bought in a batch.
    """
    prompt = fill_in(template, task=request.task, image_sha=request.image_sha)
    image = image_tokens(price.image_tokens, *sent_size(size.width, size.height, limit=image_limit))
    tokens = estimate_tokens([prompt.system, prompt.user], image_tokens=image).expected
    output = template.expected_output_tokens
    usual = token_cost(price, input_tokens=tokens, output_tokens=output, batch=batch)
    most = token_cost(price, input_tokens=tokens, output_tokens=max(output, max_output_tokens), batch=batch)
    return Estimate(1, tokens, output, usual, most)


def estimate_per_task(
    requests: Sequence[InstructionRequest],
    sizes: Mapping[str, ImageSize],
    *,
    parameters: InstructionParameters,
    price: Price | None,
) -> dict[str, Estimate]:
    """Estimate requests, task by task.

    Args:
        requests: what would be asked.
        sizes: image sha -> size.
        parameters: who would be asked, and how.
        price: of the model; None for providers that are not paid by the token, whose price is
            `price_per_instruction_usd`.

    Returns:
        Task -> sum of its requests, sorted by task.
    """
    total: dict[str, Estimate] = {}
    for request in requests:
        if price is None:
            one = Estimate(1, 0, 0, *[parameters.price_per_instruction_usd] * 2)
        else:
            one = estimate_request(
                request,
                template=load_template(parameters.prompts, request.task),
                size=sizes[request.image_sha],
                price=price,
                image_limit=parameters.image_limit,
                max_output_tokens=parameters.max_output_tokens,
                batch=PROVIDERS[parameters.provider].in_batches,
            )
        total[request.task] = total.get(request.task, Estimate()) + one
    return dict(sorted(total.items()))


def provider_price(parameters: InstructionParameters, purchase: PurchaseParameters) -> Price | None:
    """The price of the model that writes; None for providers that are not paid by the token.

    Raises:
        UnknownPriceError: the provider is paid by the token, and the model has no price.
    """
    paid_by_token = PROVIDERS[parameters.provider].paid_by_token
    return find_price(purchase.prices, parameters.model) if paid_by_token else None


def estimate_requests(
    requests: Sequence[InstructionRequest],
    images: pa.Table,
    *,
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
) -> dict[str, Estimate]:
    """Estimate requests, task by task, each sent once.

    Args:
        requests: what would be asked.
        images: of the manifest, columns of `components.schemas.IMAGES`.
        parameters: who would be asked, and how.
        purchase: the prices.

    Returns:
        Task -> sum of its requests, sorted by task.

    Raises:
        UnknownPriceError: the provider is paid by the token, and the model has no price.
        PromptError: a task has no template.
    """
    price = provider_price(parameters, purchase)
    return estimate_per_task(
        requests, image_sizes(images) if price is not None else {}, parameters=parameters, price=price
    )


def image_sizes(images: pa.Table) -> dict[str, ImageSize]:
    """Sizes by sha256.

    Args:
        images: of the manifest, columns of `components.schemas.IMAGES`.
    """
    columns = (images[name].to_pylist() for name in ("image_sha", "width", "height"))
    return {sha: ImageSize(width, height) for sha, width, height in zip(*columns, strict=True)}


def unit_costs(
    samples: pa.Table, images: pa.Table, *, parameters: InstructionParameters, price: Price | None
) -> dict[str, UnitCost]:
    """What one instruction takes on average, task by task, from at most ten thousand images of each.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        images: of the manifest, columns of `components.schemas.IMAGES`.
        parameters: who would be asked, and how.
        price: of the model; None for providers that are not paid by the token.
    """
    of_task: dict[str, list[str]] = {}
    for task, sha in zip(samples["task"].to_pylist(), samples["image_sha"].to_pylist(), strict=True):
        of_task.setdefault(task, []).append(sha)
    sizes = image_sizes(images) if price is not None else {}
    units = {}
    for task, shas in sorted(of_task.items()):
        looked_at = shas[:: math.ceil(len(shas) / _IMAGES_PER_TASK)]
        requests = [InstructionRequest("", task, sha, "", ()) for sha in looked_at]
        total = estimate_per_task(requests, sizes, parameters=parameters, price=price)[task]
        n = total.requests
        units[task] = UnitCost(total.input_tokens / n, total.output_tokens / n, total.price_usd / n)
    return units
