"""What a chat model's reply becomes: an instruction, something to send back, or a quarantined request."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from components.instructions.chat import Repair, prompt_of, repair_text, response_format
from components.instructions.endpoint.endpoint import Reply
from components.instructions.provider import Answer, Failure, Outcome, Setback, UnusableReply
from components.instructions.replies.response_rules import RuleBrokenError, read_response
from components.instructions.request import IdentifiedRequest
from components.instructions.sent_image import SentImage
from components.instructions.spending.prices import image_tokens, token_cost
from components.parameters.instructions import Price

# What a chat format adds to the messages: roles, limits, where the image begins.
_CHAT_FORM_TOKENS = 16


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reply's outcome, and the reply itself when the model may correct it."""

    outcome: Outcome
    reply: UnusableReply | None


def bill_of(
    identified: IdentifiedRequest, image: SentImage, *, price: Price, batch: bool, repair: Repair | None = None
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
    said = prompt.system + prompt.user + ("" if form is None else json.dumps(form))
    if repair is not None:
        said += repair.response + repair_text(repair, template)
    sent = most_tokens(said) + image_tokens(price.image_tokens, image.width, image.height) + _CHAT_FORM_TOKENS
    received = int(sampling["max_output_tokens"])
    cost = token_cost(price, input_tokens=sent, output_tokens=received, batch=batch)
    return Bill(sent + received, cost, price, batch)


def most_tokens(text: str) -> int:
    """Tokens of a text at most, as far as that can be said without the model's tokeniser.

    One token per three characters is more than English takes; other writing can take one per byte.
    """
    ascii_characters = sum(character.isascii() for character in text)
    return -(-ascii_characters // 3) + len(text.encode("utf-8")) - ascii_characters


def repair_of(replies: Sequence[UnusableReply]) -> Repair | None:
    """What is sent back with a request that has brought unusable replies: the last of them; None when there is none."""
    if not replies:
        return None
    last = replies[-1]
    return Repair(last.raw_text, RuleBrokenError(last.reason, last.detail))


def judge_reply(
    identified: IdentifiedRequest, reply: Reply, bill: Bill, *, repairs_left: int, latency_seconds: float
) -> Judgement:
    """Make an instruction of a reply, or say what is wrong with it.

    A reply without a count of tokens is booked at what it may have cost at most.

    Args:
        identified: the request.
        reply: of the model.
        bill: what the send takes at most.
        repairs_left: times the reply may still be sent back; with 0 the request is quarantined.
        latency_seconds: from asking to having it.
    """
    template, prompt = prompt_of(identified)
    request_id = identified.request_id
    counted = reply.input_tokens is not None and reply.output_tokens is not None
    sent, received = reply.input_tokens or 0, reply.output_tokens or 0
    cost = token_cost(bill.price, input_tokens=sent, output_tokens=received, batch=bill.batch)
    price_usd = cost if counted else bill.may_cost_usd
    try:
        turns = read_response(reply.text, template, question=prompt.question, finish_reason=reply.finish_reason)
    except RuleBrokenError as broken:
        common = (broken.reason, broken.detail, reply.text, sent, received, price_usd, latency_seconds)
        if repairs_left > 0:
            return Judgement(
                Setback(request_id, "unusable", *common), UnusableReply(reply.text, broken.reason, broken.detail)
            )
        return Judgement(Failure(request_id, *common), None)
    model = reply.model or identified.specification.model
    return Judgement(Answer(request_id, turns, model, reply.text, sent, received, price_usd, latency_seconds), None)
