"""What a send comes to: the one rule by which failures of a request are told from failures of the whole.

A request without a reply is tried again, and the last time only when all others are through. If others were answered
after it failed, the request is at fault: it is given up, with the reason, and can be asked for again on demand. If not,
the endpoint, the account or the machine is at fault: nothing is given up, and the purchase ends. So it is with one
request as with many. Where no other is left that could be answered, one that was answered before is asked once more
(`components.instructions.witness`). A batch is judged by what else came of it: when it was answered nobody says. Many
failures in a row without an answer end the purchase before that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from components.instructions.provider import Answer, Failure, Outcome, Setback, SetbackOutcome
from components.instructions.replies.finish_reasons import as_failure
from components.instructions.replies.judge import judge_reply
from components.instructions.reply import Reply, SendFailure
from components.instructions.send_keys import key_after
from components.instructions.sender import OpenRequest
from components.instructions.spending.bill import Bill
from components.instructions.spending.prices import token_cost

# What was sent, what it takes at most, and what came of it.
Sent = tuple[OpenRequest, Bill, Reply | SendFailure]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a send comes to.

    Attributes:
        outcome: for the ledger.
        again: the request as it is sent again, when all others are through if it is its last time; None: it is not.
        stop: what the purchase ends with; None: it goes on.
    """

    outcome: Outcome
    again: OpenRequest | None = None
    stop: Exception | None = None


class SendJudge:
    """Judges the sends of one purchase.

    Attributes:
        unanswered: of each request that stays open after its last try, why.

    Args:
        repairs: times a response that breaks a rule is sent back.
        attempts: times a request is sent when no reply comes, for reasons that can pass.
        most_failures: attempts without a usable answer, in a row over all requests, after which a purchase stops.
    """

    def __init__(self, *, repairs: int, attempts: int, most_failures: int) -> None:
        self._repairs = repairs
        self._attempts = attempts
        self._most_failures = most_failures
        self._replies = 0  # of the model, usable or not
        self._in_a_row = 0
        self._refusal: Exception | None = None  # of the latest failure
        # Before the last tries a request is judged by itself; then by all whose last try it is.
        self._last_tries: Literal["to come", "the whole is in doubt", "only requests can be at fault"] = "to come"
        self._replies_before_last_tries = 0
        self.unanswered: list[SendFailure] = []

    @property
    def replies(self) -> int:
        """Replies of the model, usable or not, that the purchase has had."""
        return self._replies

    def judge_group(self, sent: Sequence[Sent], *, replies_before: int, by_itself: bool = False) -> list[Verdict]:
        """Judge what came of requests that were sent together.

        Args:
            sent: what was sent, what it takes at most, and what came of it.
            replies_before: `replies` when it was sent.
            by_itself: what was answered meanwhile that is not of this group says nothing about it.
        """
        known = [(asked, bill, as_failure(reply)) for asked, bill, reply in sent]
        since = self._replies if by_itself else replies_before
        # First, so that those that were answered speak for the endpoint to those that were not.
        replies = sum(isinstance(reply, Reply) for _, _, reply in known)
        self._replies += replies
        # One that failed alone is passed by what is answered from now on: what was answered while it was on its way may
        # have been before the endpoint went away. Those of a group are passed by the others of it.
        if len(known) == 1:
            since = self._replies
        unpassed = not replies and any(asked.is_witness for asked, _, _ in known) and len(known) > 1
        nobody = by_itself and not replies
        verdicts = [self._judge(*one, replies_before=since, nobody=nobody, unpassed=unpassed) for one in known]
        if any(isinstance(verdict.outcome, Answer) for verdict in verdicts):
            self._in_a_row = 0
            return verdicts
        for (_, _, reply), verdict in zip(known, verdicts, strict=True):
            # A request that others pass says nothing about the whole; nor does what was not run.
            about_one = isinstance(reply, SendFailure) and (
                reply.kind == "not_run"
                or isinstance(verdict.outcome, Failure)
                or (verdict.again is not None and self._others_pass(verdict.again))
            )
            self._in_a_row = min(self._in_a_row + (not about_one), self._most_failures)
            if isinstance(reply, SendFailure):
                self._refusal = reply.error
        return verdicts

    def too_many_in_a_row(self, verdicts: Sequence[Verdict]) -> str | None:
        """What to say when so many attempts in a row brought nothing usable that the purchase stops; None: go on."""
        if self._in_a_row < self._most_failures:
            return None
        last = verdicts[-1].outcome
        said = "" if isinstance(last, Answer) else f"; the last: {last.reason}: {last.detail}"
        return f"{self._in_a_row} attempts in a row brought nothing usable{said}. Everything bought is kept"

    def all_failed(self, verdicts: Sequence[Verdict], batch: Sequence[Sent]) -> SendFailure | None:
        """The last failure of a batch without a reply, of whose requests others pass none; else None."""
        replies = [as_failure(reply) for _, _, reply in batch]
        failures = [one for one in replies if isinstance(one, SendFailure) and one.kind != "not_run"]
        if len(failures) < len(replies) or not failures:
            return None
        if any(asked.is_witness for asked, _, _ in batch):
            return failures[-1]
        passed = any(
            isinstance(verdict.outcome, Failure) or (verdict.again is not None and self._others_pass(verdict.again))
            for verdict in verdicts
        )
        # It goes again, with a witness.
        alone = len(replies) == 1 and self._replies > 0
        return None if passed or alone else failures[-1]

    def not_passed(self, last: Sequence[OpenRequest]) -> list[OpenRequest]:
        """Those of whom nobody was answered since they failed first in this purchase."""
        return [one for one in last if not self._passed_here(one)]

    def begin_last_tries(self, last: Sequence[OpenRequest]) -> None:
        """Note that these have their last try: if nobody passes some of them, maybe nobody passes any more."""
        self._last_tries = "the whole is in doubt" if self.not_passed(last) else "only requests can be at fault"
        self._replies_before_last_tries = self._replies

    @property
    def is_row_broken(self) -> bool:
        """Whether somebody was answered since so many attempts in a row were not."""
        return self._in_a_row < self._most_failures

    @property
    def refusal(self) -> Exception | None:
        """What the endpoint says of the account with the latest failure, when it has not answered anything."""
        return None if self._replies else self._refusal

    def _judge(
        self,
        asked: OpenRequest,
        bill: Bill,
        reply: Reply | SendFailure,
        *,
        replies_before: int,
        nobody: bool,
        unpassed: bool,
    ) -> Verdict:
        if isinstance(reply, SendFailure):
            if not unpassed:
                return self._judge_failure(asked, bill, reply, replies_before, nobody=nobody)
            if not asked.is_witness:
                self.unanswered.append(reply)
            return Verdict(_setback(asked, bill, reply), stop=reply.error if reply.kind == "account" else None)
        left = 0 if asked.is_witness else max(0, self._repairs - len(asked.replies))
        judged = judge_reply(asked.identified, reply, bill, repairs_left=left)
        if judged.reply is None:
            return Verdict(judged.outcome)
        # Its own reply is not one of others: what fails from now on is counted anew.
        key = key_after(asked.key, "reply", may_be_charged=False)
        repair = OpenRequest(asked.identified, "repair", (*asked.replies, judged.reply), key=key)
        return Verdict(judged.outcome, again=repair)

    def _judge_failure(
        self, asked: OpenRequest, bill: Bill, failure: SendFailure, replies_before: int, *, nobody: bool
    ) -> Verdict:
        setback = _setback(asked, bill, failure)
        if failure.kind == "account":
            return Verdict(setback, stop=failure.error)
        sent_after = replies_before if asked.sent_after is None else asked.sent_after
        failed = replace(
            asked,
            kind="witness" if asked.is_witness else "retry",
            failures=asked.failures + 1,
            sent_after=sent_after,
            in_doubt=asked.in_doubt if failure.kind == "not_run" else nobody,
            key=key_after(asked.key, failure.arrived, may_be_charged=failure.kind == "unknown"),
        )
        tries = {"final": 1, "rejected": 2}.get(failure.kind, self._attempts)
        if asked.is_witness:
            passes = failure.kind in ("refused", "unknown") and failed.failures < tries
            return Verdict(setback, again=failed if passes else None)
        certain = failure.kind == "final" and self._others_pass(failed)
        if asked.last or certain or self._attempts == 1:
            # After a batch of which nobody was answered it goes out once more, beside a witness.
            decided = failed.failures >= tries and (asked.in_doubt or not nobody)
            return self._decide(failed, failure, setback, bill) if decided else Verdict(setback, again=failed)
        return Verdict(setback, again=replace(failed, last=failed.failures >= tries - 1))

    def _decide(self, asked: OpenRequest, failure: SendFailure, setback: Setback, bill: Bill) -> Verdict:
        """After its last try: give a request up that others pass; leave it open where the whole may be at fault."""
        match self._last_tries:
            case "to come":
                passed = self._others_pass(asked)
            case "the whole is in doubt":
                passed = self._replies > self._replies_before_last_tries
            case _:
                passed = True
        if not passed or asked.in_doubt or failure.kind == "not_run":
            self.unanswered.append(failure)
            return Verdict(setback)
        return Verdict(
            Failure(
                setback.request_id,
                setback.reason,
                setback.detail,
                input_tokens=setback.input_tokens,
                output_tokens=setback.output_tokens,
                # Whether it was charged nobody will say any more.
                price_usd=bill.may_cost_usd if setback.outcome == "unknown" else setback.price_usd,
                latency_seconds=setback.latency_seconds,
            )
        )

    def _others_pass(self, asked: OpenRequest) -> bool:
        """Whether others were answered since a request was sent that then failed."""
        return asked.others_answered or self._passed_here(asked)

    def _passed_here(self, asked: OpenRequest) -> bool:
        return asked.sent_after is not None and self._replies > asked.sent_after


def _setback(asked: OpenRequest, bill: Bill, failure: SendFailure) -> Setback:
    """What is written down of a failure: at what the endpoint counts, or, where it may charge, as unknown."""
    outcome: SetbackOutcome = "unknown" if failure.kind == "unknown" else "refused"
    sent, received = failure.input_tokens, failure.output_tokens
    price_usd = 0.0
    if sent is not None and received is not None:
        outcome = "refused"
        price_usd = token_cost(bill.price, input_tokens=sent, output_tokens=received, batch=bill.batch)
    return Setback(
        asked.identified.request_id,
        outcome,
        failure.reason,
        failure.detail,
        input_tokens=sent or 0,
        output_tokens=received or 0,
        price_usd=price_usd,
        latency_seconds=failure.seconds,
    )
