"""What the lines of a collected batch become: outcomes of its sends."""

from collections.abc import Iterator, Sequence

from components.instructions.batch.file import BatchLine
from components.instructions.endpoint.endpoint import AttemptFailedError, EndpointRefusedError, RequestRejectedError
from components.instructions.provider import Failure, OpenBatch, Outcome, Send, Setback, UnusableReply
from components.instructions.replies.judge import Bill, judge_reply
from components.instructions.spending.prices import UnknownPriceError, find_price
from components.instructions.spending.purse import PurchaseStoppedError
from components.parameters.instructions import Price

# Of one line among others that were answered: what this request may not have, not what the account may not.
_ABOUT_ONE_REQUEST = frozenset({403, 404, 405, 410, 451})


class UnpricedBatchError(PurchaseStoppedError):
    """Nobody says what the requests of an earlier batch cost."""


class BatchOutcomes:
    """Makes outcomes of one batch's lines.

    Attributes:
        refusal: what the endpoint says of the account; None: nothing.

    Args:
        batch: whose lines these are.
        prices: dollars per model; every request is booked at its own model's.
        repairs: times a reply may be sent back.

    Raises:
        UnpricedBatchError: a model in it has no price.
    """

    def __init__(self, batch: OpenBatch, *, prices: Sequence[Price], repairs: int) -> None:
        self.refusal: EndpointRefusedError | None = None
        self._repairs = repairs
        self._batch = batch
        try:
            models = {send.request.specification.model for send in batch.sends}
            self._prices = {model: find_price(prices, model) for model in models}
        except UnknownPriceError as error:
            raise UnpricedBatchError(
                f"batch {batch.number} {batch.reference} was sent by an earlier run: {error}. Until then it stays open"
            ) from None

    def of_lines(self, lines: Sequence[BatchLine], replies: dict[str, list[UnusableReply]]) -> Iterator[Outcome]:
        """The outcomes of the sends that there is a line for.

        Args:
            lines: of the batch, and perhaps of others.
            replies: what requests have brought so far; unusable ones are added.
        """
        waiting = {send.request.request_id: send for send in self._batch.sends}
        answered = any(line.reply is not None for line in lines)
        for line in lines:
            send = waiting.pop(line.request_id, None)
            if send is not None:  # else settled before a kill, or of another purchase
                yield self._of_line(send, line, replies.setdefault(line.request_id, []), answered=answered)

    def _of_line(self, send: Send, line: BatchLine, replies: list[UnusableReply], *, answered: bool) -> Outcome:
        request_id = line.request_id
        match line.error:
            case AttemptFailedError(outcome=outcome, reason=reason, detail=detail):
                return Setback(request_id, outcome, reason, detail)
            case EndpointRefusedError(status=status) if not (answered and status in _ABOUT_ONE_REQUEST):
                self.refusal = line.error
                return Setback(request_id, "refused", "account_refused", str(line.error))
            case EndpointRefusedError() | RequestRejectedError():
                return Failure(request_id, "rejected", str(line.error))
        assert line.reply is not None
        price = self._prices[send.request.specification.model]
        bill = Bill(0, send.may_cost_usd, price, batch=True)
        left = max(0, self._repairs - len(replies))
        judged = judge_reply(send.request, line.reply, bill, repairs_left=left, latency_seconds=0.0)
        if judged.reply is not None:
            replies.append(judged.reply)
        return judged.outcome


def outcomes_without_line(batch: OpenBatch, found: set[str], *, failed: str = "") -> list[Outcome]:
    """The outcomes of sends that no line says anything of.

    Args:
        batch: whose.
        found: requests that there is an outcome for.
        failed: why nothing of the batch was run; empty when it was, and then it may have been charged.
    """
    left = [send.request.request_id for send in batch.sends if send.request.request_id not in found]
    if failed:
        return [Setback(request_id, "refused", "batch_failed", failed) for request_id in left]
    missing = "the batch ended without a result for it"
    return [Setback(request_id, "unknown", "no_result", missing) for request_id in left]
