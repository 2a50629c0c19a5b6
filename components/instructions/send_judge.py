"""What a send comes to: the one rule by which failures of a request are told from failures of the whole.

A request without a reply is tried again, and the last time only when all others are through. A reply that breaks a rule
is sent back. When that was done often enough, the request is not given up yet but suspected: it is given up, with the
reason, as soon as another that was begun afterwards is answered, and can be asked for again on demand. If nobody is,
then the endpoint, the account or the model is at fault: nothing is given up, and the purchase ends. So it is with one
request as with many (`components.instructions.suspects`). Where no other is left that could be answered, one that was
answered before is asked once more (`components.instructions.witness`). A batch is judged by what else came of it: when
it was answered nobody says. Many failures in a row without an answer end the purchase before that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.instructions.provider import Answer, Setback, SetbackOutcome, UnusableReply
from components.instructions.replies.finish_reasons import as_failure
from components.instructions.replies.judge import judge_reply
from components.instructions.reply import Reply, SendFailure
from components.instructions.send_keys import key_after
from components.instructions.sender import OpenRequest
from components.instructions.spending.bill import Bill
from components.instructions.spending.prices import token_cost
from components.instructions.suspects import Suspect, Suspects

# What was sent, what it takes at most, and what came of it.
Sent = tuple[OpenRequest, Bill, Reply | SendFailure]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a send comes to.

    Attributes:
        outcome: for the ledger.
        again: the request as it is sent again, when all others are through if it is its last time; None: it is not.
        stop: what the purchase ends with; None: it goes on.
        passed: it brought no reply, and others were answered since it failed first.
        suspect: the request, where it is not tried any more; a suspect when the outcome is in the ledger.
    """

    outcome: Answer | Setback
    again: OpenRequest | None = None
    stop: Exception | None = None
    passed: bool = False
    suspect: Suspect | None = None


class SendJudge:
    """Judges the sends of one purchase.

    Attributes:
        suspects: requests that are not tried any more.

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
        self.suspects = Suspects()

    def is_through(self, asked: OpenRequest) -> bool:
        """Whether a request has had all its repairs, in earlier purchases; it is a suspect then."""
        if len(asked.replies) <= self._repairs:
            return False
        last = asked.replies[-1]
        self.suspects.left.append(Suspect(asked.identified, last.reason, last.detail, since=0, by_reply=True))
        return True

    def judge_group(self, sent: Sequence[Sent], *, began: int, batch: bool = False) -> list[Verdict]:
        """Judge what came of requests that were sent together.

        Args:
            sent: what was sent, what it takes at most, and what came of it.
            began: number of the send.
            batch: it was sent as a batch.
        """
        known = [(asked, bill, as_failure(reply)) for asked, bill, reply in sent]
        replies = sum(isinstance(reply, Reply) for _, _, reply in known)
        # Of a batch each is passed by the others of it; of anything else, by what is begun from now on.
        since = began - 1 if batch and replies else self.suspects.begun
        nobody = batch and not replies
        verdicts = []
        for asked, bill, reply in known:
            if isinstance(reply, SendFailure):
                verdicts.append(self._judge_failure(asked, bill, reply, since=since, nobody=nobody))
            else:
                verdicts.append(self._judge_reply(asked, bill, reply, began=began))
        self._replies += replies
        usable = any(isinstance(verdict.outcome, Answer) for verdict in verdicts)
        if replies:
            self.suspects.answered(began, usable=usable)
        if usable:
            self._in_a_row = 0
            return verdicts
        for (_, _, reply), verdict in zip(known, verdicts, strict=True):
            # A request that others pass says nothing about the whole; nor does what was not run.
            about_one = isinstance(reply, SendFailure) and (reply.kind == "not_run" or verdict.passed)
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
        # One that failed alone goes again, with a witness.
        alone = len(replies) == 1 and self._replies > 0
        return None if alone or any(verdict.passed for verdict in verdicts) else failures[-1]

    def left_over(self, *, of: int) -> str | None:
        """What to say of the suspects that nobody has passed; None when there are none.

        Args:
            of: requests that the purchase was asked for.
        """
        silent = [one for one in self.suspects.left if not one.by_reply]
        left = silent or self.suspects.left
        if not left:
            return None
        last = f"(the last: {left[-1].reason}: {left[-1].detail})"
        if silent:
            return f"{len(left):,} of {of:,} requests had no reply after {self._attempts} attempts {last}"
        return (
            f"the replies to {len(left):,} of {of:,} requests break a rule, repairs included {last}; they are paid "
            "for, and only --refresh asks once more"
        )

    @property
    def is_row_broken(self) -> bool:
        """Whether somebody was answered since so many attempts in a row were not."""
        return self._in_a_row < self._most_failures

    @property
    def refusal(self) -> Exception | None:
        """What the endpoint says of the account with the latest failure, when it has not answered anything."""
        return None if self._replies else self._refusal

    def _judge_reply(self, asked: OpenRequest, bill: Bill, reply: Reply, *, began: int) -> Verdict:
        outcome = judge_reply(asked.identified, reply, bill)
        if isinstance(outcome, Answer) or asked.is_witness:
            return Verdict(outcome)
        since = began - 1 if asked.unusable_since is None else asked.unusable_since
        replies = (*asked.replies, UnusableReply(reply.text, outcome.reason, outcome.detail))
        if len(replies) > self._repairs:
            suspect = Suspect(asked.identified, outcome.reason, outcome.detail, since, by_reply=True)
            return Verdict(outcome, suspect=suspect)
        # Its own reply is not one of others: what fails from now on is counted anew.
        key = key_after(asked.key, "reply", may_be_charged=False)
        repair = OpenRequest(asked.identified, "repair", replies, unusable_since=since, key=key)
        return Verdict(outcome, again=repair)

    def _judge_failure(
        self, asked: OpenRequest, bill: Bill, failure: SendFailure, *, since: int, nobody: bool
    ) -> Verdict:
        setback = _setback(asked, bill, failure)
        if failure.kind == "account":
            return Verdict(setback, stop=failure.error)
        if asked.is_witness:
            return Verdict(setback)
        failed = replace(
            asked,
            kind="retry",
            failures=asked.failures + 1,
            sent_after=self._replies if asked.sent_after is None else asked.sent_after,
            in_doubt=asked.in_doubt if failure.kind == "not_run" else nobody,
            key=key_after(asked.key, failure.arrived, may_be_charged=failure.kind == "unknown"),
        )
        assert failed.sent_after is not None
        passed = failed.others_answered or self._replies > failed.sent_after or since < self.suspects.begun
        tries = {"final": 1, "rejected": 2}.get(failure.kind, self._attempts)
        if failed.failures < tries:
            return Verdict(setback, again=replace(failed, last=failed.failures >= tries - 1), passed=passed)
        if nobody and not asked.in_doubt:  # it goes out once more, beside a witness
            return Verdict(setback, again=replace(failed, last=True), passed=passed)
        never = failure.kind == "not_run"
        suspect = Suspect(
            asked.identified, setback.reason, setback.detail, math.inf if never else since, by_reply=False
        )
        return Verdict(setback, passed=passed, suspect=suspect)


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
