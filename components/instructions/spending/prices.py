"""What tokens cost, and how many of them an image is."""

import math
from collections.abc import Sequence

from components.errors import UserError
from components.parameters.instructions import FixedTokens, PatchTokens, Price, TileTokens

_TOKENS_PER_PRICE = 1_000_000
_TILE_SIDE = 512
_TILE_FIT = 2048
_TILE_SHORTER_SIDE = 768


class UnknownPriceError(UserError, ValueError):
    """Nobody said what a model costs; unknown is not free."""


def find_price(prices: Sequence[Price], model: str) -> Price:
    """The price of a model.

    Raises:
        UnknownPriceError: it is not in the table.
    """
    for price in prices:
        if price.model == model:
            return price
    known = ", ".join(price.model for price in prices) or "none"
    raise UnknownPriceError(
        f"purchase.prices has no price of model {model!r} (priced: {known}). Add a line with the dollars per million "
        "tokens and the day you read them, 0 for a model of your own"
    )


def token_cost(price: Price, *, input_tokens: float, output_tokens: float, batch: bool) -> float:
    """Dollars for tokens.

    Args:
        price: of the model.
        input_tokens: sent.
        output_tokens: received.
        batch: bought in a batch, at the batch factor.
    """
    dollars = (input_tokens * price.input_usd + output_tokens * price.output_usd) / _TOKENS_PER_PRICE
    return dollars * price.batch_factor if batch else dollars


def image_tokens(rule: TileTokens | PatchTokens | FixedTokens, width: int, height: int) -> int:
    """Tokens that an image is counted as.

    Args:
        rule: of the model.
        width: pixels as sent.
        height: pixels as sent.
    """
    match rule:
        case TileTokens(base=base, tile=tile):
            return base + tile * _tiles(width, height)
        case PatchTokens(patch=patch, at_most=at_most, factor=factor):
            patches = math.ceil(width / patch) * math.ceil(height / patch)
            return math.ceil(round(min(patches, at_most) * factor, 6))  # 300 x 1.62 is a little above 486
        case FixedTokens(fixed=fixed):
            return fixed


def _tiles(width: int, height: int) -> int:
    scale = min(1.0, _TILE_FIT / max(width, height))
    scale *= min(1.0, _TILE_SHORTER_SIDE / (min(width, height) * scale))
    across, down = (math.ceil(round(side * scale, 6) / _TILE_SIDE) for side in (width, height))
    return max(1, across) * max(1, down)
