"""What a chat model's reply becomes: an instruction, or something to send back."""

from collections.abc import Sequence

from components.instructions.chat import Repair, prompt_of
from components.instructions.provider import Answer, Setback, UnusableReply
from components.instructions.replies.response_rules import RuleBrokenError, read_response
from components.instructions.reply import Reply
from components.instructions.request import IdentifiedRequest
from components.instructions.spending.bill import Bill
from components.instructions.spending.prices import token_cost


def repair_of(replies: Sequence[UnusableReply]) -> Repair | None:
    """What is sent back with a request that has brought unusable replies: the last of them; None when there is none."""
    if not replies:
        return None
    last = replies[-1]
    return Repair(last.raw_text, RuleBrokenError(last.reason, last.detail))


def judge_reply(identified: IdentifiedRequest, reply: Reply, bill: Bill) -> Answer | Setback:
    """Make an instruction of a reply, or say what is wrong with it; it is paid for either way.

    A reply without a count of tokens is booked at what it may have cost at most.

    Args:
        identified: the request.
        reply: of the model.
        bill: what the send takes at most.
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
        return Setback(request_id, "unusable", *common)
    model = reply.model or identified.specification.model
    return Answer(request_id, turns, model, reply.text, sent, received, price_usd, reply.seconds)
