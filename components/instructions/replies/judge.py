"""What a chat model's reply becomes: an instruction, something to send back, or a quarantined request."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.instructions.chat import Repair, prompt_of
from components.instructions.provider import Answer, Failure, Outcome, Setback, UnusableReply
from components.instructions.replies.response_rules import RuleBrokenError, read_response
from components.instructions.reply import Reply
from components.instructions.request import IdentifiedRequest
from components.instructions.spending.bill import Bill
from components.instructions.spending.prices import token_cost


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reply's outcome, and the reply itself when the model may correct it."""

    outcome: Outcome
    reply: UnusableReply | None


def repair_of(replies: Sequence[UnusableReply]) -> Repair | None:
    """What is sent back with a request that has brought unusable replies: the last of them; None when there is none."""
    if not replies:
        return None
    last = replies[-1]
    return Repair(last.raw_text, RuleBrokenError(last.reason, last.detail))


def judge_reply(identified: IdentifiedRequest, reply: Reply, bill: Bill, *, repairs_left: int) -> Judgement:
    """Make an instruction of a reply, or say what is wrong with it.

    A reply without a count of tokens is booked at what it may have cost at most.

    Args:
        identified: the request.
        reply: of the model.
        bill: what the send takes at most.
        repairs_left: times the reply may still be sent back; with 0 the request is quarantined.
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
        common = (broken.reason, broken.detail, reply.text, sent, received, price_usd, reply.seconds)
        if repairs_left > 0:
            return Judgement(
                Setback(request_id, "unusable", *common), UnusableReply(reply.text, broken.reason, broken.detail)
            )
        return Judgement(Failure(request_id, *common), None)
    model = reply.model or identified.specification.model
    return Judgement(Answer(request_id, turns, model, reply.text, sent, received, price_usd, reply.seconds), None)
