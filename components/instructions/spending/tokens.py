"""How many tokens a text and an image are, before a tokeniser of the model has seen them: the one place that says."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# English takes about four characters to a token, and hardly ever fewer than three.
_CHARACTERS_PER_TOKEN = 4
_FEWEST_CHARACTERS_PER_TOKEN = 3
# What a chat format adds: to each message for its role and its limits; to all of them at most, with where the image
# begins.
_TOKENS_PER_MESSAGE = 4
_MOST_FORM_TOKENS = 16


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Tokens that are sent.

    Attributes:
        expected: on average, to plan with.
        at_most: to set money and rate limits aside with.
    """

    expected: int
    at_most: int


def estimate_tokens(messages: Sequence[str], *, image_tokens: int, promised_form: str = "") -> TokenEstimate:
    """Estimate what a chat request sends.

    One token is four characters of text on average, and at least three; a character that is not ASCII may take one for
    each of its bytes.

    Args:
        messages: their texts; empty ones are not sent.
        image_tokens: of the image, as the model counts it (`components.instructions.spending.prices.image_tokens`).
        promised_form: JSON of the form that the endpoint is asked to promise. Few endpoints count it, so it is part of
            the upper bound alone.
    """
    texts = [text for text in messages if text]
    expected = sum(math.ceil(len(text) / _CHARACTERS_PER_TOKEN) + _TOKENS_PER_MESSAGE for text in texts)
    at_most = sum(_most_tokens(text) for text in (*texts, promised_form)) + _MOST_FORM_TOKENS
    return TokenEstimate(expected + image_tokens, at_most + image_tokens)


def _most_tokens(text: str) -> int:
    ascii_characters = sum(character.isascii() for character in text)
    other_bytes = len(text.encode("utf-8")) - ascii_characters
    return math.ceil(ascii_characters / _FEWEST_CHARACTERS_PER_TOKEN) + other_bytes
