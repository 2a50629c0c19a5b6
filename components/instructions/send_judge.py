"""What a send comes to: its outcome, and how its request and the purchase go on."""

from dataclasses import dataclass, replace

from components.instructions.provider import Failure, Outcome, Setback, SetbackOutcome
from components.instructions.replies.judge import judge_reply
from components.instructions.reply import Reply, SendFailure
from components.instructions.sender import OpenRequest
from components.instructions.spending.bill import Bill

# Rejected requests that are too few to tell a fault of theirs from one of the endpoint.
_FEW = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a send comes to.

    Attributes:
        outcome: for the ledger.
        again: the request as it is sent again; None: it is not.
        rejected: the request as it is asked once more when all others are through; None: it is not.
        stop: what the purchase ends with; None: it goes on.
    """

    outcome: Outcome
    again: OpenRequest | None = None
    rejected: OpenRequest | None = None
    stop: Exception | None = None


class SendJudge:
    """Judges the sends of one purchase.

    Attributes:
        replies: of the model, usable or not, that the purchase has had.
        unanswered: why, of each request that is given up for this purchase.

    Args:
        repairs: times a response that breaks a rule is sent back.
        attempts: times a request is sent when no reply comes.
    """

    def __init__(self, *, repairs: int, attempts: int) -> None:
        self._repairs = repairs
        self._attempts = attempts
        self._rejections = 0
        self.replies = 0
        self.unanswered: list[str] = []

    def judge(self, asked: OpenRequest, bill: Bill, reply: Reply | SendFailure) -> Verdict:
        """Judge a reply, or what came instead.

        Args:
            asked: what was sent.
            bill: what the send takes at most.
            reply: what came of it.
        """
        if isinstance(reply, SendFailure):
            return self._judge_failure(asked, reply)
        left = max(0, self._repairs - len(asked.replies))
        judged = judge_reply(asked.identified, reply, bill, repairs_left=left)
        if judged.reply is None:
            return Verdict(judged.outcome)
        return Verdict(judged.outcome, again=replace(asked, kind="repair", replies=(*asked.replies, judged.reply)))

    def _judge_failure(self, asked: OpenRequest, failure: SendFailure) -> Verdict:
        """Decide whether a failure is the request's, passes, or ends the purchase; see `FailureKind`."""
        request_id, detail, seconds = asked.identified.request_id, failure.detail, failure.seconds
        match failure.kind:
            case "final":
                return Verdict(Failure(request_id, failure.reason, detail, latency_seconds=seconds))
            case "rejected":
                return self._judge_rejection(asked, failure)
            case "forbidden" if self.replies:
                return self._judge_rejection(asked, failure)
            case "forbidden" | "account":
                assert failure.error is not None
                refused = Setback(request_id, "refused", failure.reason, detail, latency_seconds=seconds)
                return Verdict(refused, stop=failure.error)
        outcome: SetbackOutcome = "unknown" if failure.kind == "unknown" else "refused"
        setback = Setback(request_id, outcome, failure.reason, detail, latency_seconds=seconds)
        failures = asked.failures + 1
        if failures >= self._attempts:
            self.unanswered.append(detail)
            return Verdict(setback)
        return Verdict(setback, again=replace(asked, kind="retry", failures=failures))

    def _judge_rejection(self, asked: OpenRequest, failure: SendFailure) -> Verdict:
        """Quarantine what the endpoint will not answer; leave it open where the endpoint itself may be at fault.

        A server that is set up wrongly rejects everything. So a request counts as the one at fault when others were
        answered after its first rejection, or when so few were rejected that little is lost by believing it.
        """
        request_id, detail = asked.identified.request_id, failure.detail
        setback = Setback(request_id, "refused", "rejected", detail, latency_seconds=failure.seconds)
        if asked.rejected_after is None:
            self._rejections += 1
            return Verdict(setback, rejected=replace(asked, kind="retry", rejected_after=self.replies))
        few = failure.kind == "rejected" and self._rejections < _FEW
        if self.replies > asked.rejected_after or few:
            return Verdict(Failure(request_id, "rejected", detail, latency_seconds=failure.seconds))
        self.unanswered.append(detail)
        return Verdict(setback)
