"""What a source of instructions has to be able to do, and what becomes of what it sends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.send_keys import FIRST_KEY, SendKey
from components.pool.samples import Turn

# Why something is sent: for the first time; again after a failure of the endpoint or of a run; again because the
# response broke a rule; once more although it was answered, to see whether others are (see `witness.py`).
SendKind = Literal["first", "retry", "repair", "witness"]

# How a send can end without a usable answer while the request stays open.
#   unusable: a response came, was paid for, and breaks a rule.
#   refused:  the endpoint said no (429, 5xx, could not connect): nothing is charged for that.
#   unknown:  no complete response came (time-out, lost connection): it may have been charged.
SetbackOutcome = Literal["unusable", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Send:
    """A request that is about to be sent.

    Attributes:
        request: what.
        kind: why; the ledger makes a `retry` of a `first` when the request was sent before.
        may_cost_usd: dollars that this send takes at most, as far as that can be said.
        batch: number of the ledger's batch that it goes out in; None: by itself.
        replies: unusable replies of the request that it takes into account. When there are more by now (another
            purchase paid for one and ended) it is refused, to be asked for again with them; None: it needs none.
    """

    request: IdentifiedRequest
    kind: SendKind = "first"
    may_cost_usd: float = 0.0
    batch: int | None = None
    replies: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An instruction that came.

    Attributes:
        request_id: the request it answers.
        turns: the conversation, at least one turn.
        model: who wrote it, as precisely as the provider knows.
        raw_text: the response before it was parsed.
        input_tokens: tokens sent; 0 when nothing is counted in tokens.
        output_tokens: tokens received; 0 when nothing is counted in tokens.
        price_usd: dollars.
        latency_seconds: from asking to having it.
        note: what of the response was left out and why, for counting; "" when nothing was.
    """

    request_id: str
    turns: tuple[Turn, ...]
    model: str
    raw_text: str
    input_tokens: int = 0
    output_tokens: int = 0
    price_usd: float = 0.0
    latency_seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was asked and will have no usable instruction; it is quarantined with what it cost.

    Attributes:
        request_id: the request.
        reason: one of the provider's fixed reasons, for counting.
        detail: what exactly, for a person.
        raw_text: the response, when there was one.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        price_usd: dollars it cost all the same.
        latency_seconds: from asking to giving up.
    """

    request_id: str
    reason: str
    detail: str
    raw_text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    price_usd: float = 0.0
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Setback:
    """A send that brought no usable instruction; the request stays open and may be sent again.

    Attributes:
        request_id: the request.
        outcome: what became of the send, see `SetbackOutcome`.
        reason: one of the provider's fixed reasons, for counting.
        detail: what exactly, for a person.
        raw_text: the response, when there was one.
        input_tokens: tokens sent.
        output_tokens: tokens received.
        price_usd: dollars it cost all the same.
        latency_seconds: from asking to giving up.
    """

    request_id: str
    outcome: SetbackOutcome
    reason: str
    detail: str
    raw_text: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    price_usd: float = 0.0
    latency_seconds: float = 0.0


Outcome = Answer | Failure | Setback


class BatchTakenOverError(RuntimeError):
    """A batch is another purchase's by now, because this one was not seen to be alive, or a person gave it up."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose results have not been collected.

    Attributes:
        number: in the ledger.
        reference: what the endpoint calls it; empty while that is not known.
        sends: what is in it and has no outcome yet.
        submitting: handing it in was begun, so that it may be at the endpoint though its name is not known.
    """

    number: int
    reference: str
    sends: tuple[Send, ...]
    submitting: bool = True

    @property
    def requests(self) -> tuple[IdentifiedRequest, ...]:
        """What is in it and has no outcome yet."""
        return tuple(send.request for send in self.sends)


@dataclass(frozen=True, slots=True)
class UnusableReply:
    """A response that an earlier send brought and that broke a rule.

    Attributes:
        raw_text: as it came.
        reason: the rule.
        detail: what exactly.
    """

    raw_text: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class EarlierFailures:
    """What earlier sends of an open request came to that brought no answer.

    Attributes:
        sends: how many brought no reply, in purchases in which others were answered, and since.
        meanwhile: others were answered after it was sent, or in the same batch; False: maybe before it was sent.
        in_doubt: it failed last in a batch of which nobody was answered, or by itself and nobody was answered since.
        key: under which it is sent next.
    """

    sends: int
    meanwhile: bool
    in_doubt: bool = False
    key: SendKey = FIRST_KEY


class PurchaseBook(Protocol):
    """Where a provider writes down what it does. Every method returns once that is durable; any thread may call."""

    @property
    def run_spent_usd(self) -> float:
        """Dollars that the run has spent so far, what may have been charged included."""

    @property
    def asks_again(self) -> bool:
        """Whether a person wants those asked for once more that have had all their repairs and were not given up."""

    def announce(self, sends: Sequence[Send]) -> Sequence[bool]:
        """Say that requests are about to be sent.

        Returns:
            For each, whether it may be sent; not when another run has it in hand or has had its answer.
        """

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Say what became of sends that were announced.

        Raises:
            BatchTakenOverError: they went out in a batch that is another purchase's by now, which settles them.
        """

    def give_up(self, request_ids: Sequence[str]) -> None:
        """Say that requests whose sends are settled are at fault; each is quarantined for its last failure."""

    def leave_out(self, identified: IdentifiedRequest, *, reason: str, detail: str) -> None:
        """Say that a request cannot be sent as things are, so that it is not announced; a later run asks for it.

        Args:
            identified: the request.
            reason: one of the provider's fixed reasons, for counting.
            detail: what exactly, for a person.
        """

    def unusable_replies(self, request_ids: Sequence[str]) -> Mapping[str, Sequence[UnusableReply]]:
        """What open requests have brought so far, oldest first; those that brought nothing are left out."""

    def earlier_failures(self, request_ids: Sequence[str]) -> Mapping[str, EarlierFailures]:
        """What open requests have come to without an answer; those that were never sent are left out."""

    def answered_like(self, specification: RequestSpecification) -> Sequence[IdentifiedRequest]:
        """Some requests that were answered and are put as this says, the latest first."""

    def announce_batch(self, kind: str, sends: Sequence[Send], *, endpoint: str) -> tuple[int, Sequence[bool]]:
        """Begin a batch and say what is about to be sent in it, as one.

        Args:
            kind: of batch.
            sends: what; their `batch` is not read.
            endpoint: where it will be, without secrets.

        Returns:
            The batch's number, and for each send whether it may be sent, see `announce`.
        """

    def submit_batch(self, number: int) -> None:
        """Say that handing a batch in begins: from now on it may be charged.

        Raises:
            BatchTakenOverError: it is this purchase's no more, and may not be handed in.
        """

    def name_batch(self, number: int, reference: str) -> None:
        """Say what the endpoint calls a batch."""

    def adopt_batches(self, kind: str, *, endpoint: str | None = None) -> Sequence[OpenBatch]:
        """Take over the batches that nobody is working on; what comes of them is settled as if sent now.

        Args:
            kind: of batch.
            endpoint: those of another one are left alone; None: it does not matter.
        """

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """Say that nothing more will come of a batch; what it left open may be sent again.

        Args:
            number: of the batch.
            sent: it was handed in, so that what is open may have been charged.
        """


class InstructionProvider(Protocol):
    """A source of instructions."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    def specify(self, requests: Sequence[InstructionRequest]) -> Sequence[RequestSpecification]:
        """Say for each request what decides its answer, without asking for it and without cost."""

    def at_hand(self, requests: Sequence[InstructionRequest]) -> Sequence[bool]:
        """Say for each request whether its instruction is there already, so that nobody has to write it."""

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Ask for instructions: announce, send, settle, each time something is sent.

        A provider may ask in any order and keep several requests in flight. What it may not send (see
        `PurchaseBook.announce`) it leaves out. An error that says nothing about the requests (a network that is
        down, a budget that is spent) is raised, when what was in flight is settled; the rest is asked by a later run.

        Args:
            requests: what to ask for.
            book: where to write it down.
        """
