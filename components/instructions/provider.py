"""What a source of instructions has to be able to do."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.records import Turn


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
    """

    request_id: str
    turns: tuple[Turn, ...]
    model: str
    raw_text: str
    input_tokens: int = 0
    output_tokens: int = 0
    price_usd: float = 0.0
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was asked and has no usable instruction; it is quarantined with what it cost.

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


class InstructionProvider(Protocol):
    """A source of instructions."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    def specify(self, requests: Sequence[InstructionRequest]) -> Sequence[RequestSpecification]:
        """Say for each request what decides its answer, without asking for it and without cost."""

    def at_hand(self, requests: Sequence[InstructionRequest]) -> Sequence[bool]:
        """Say for each request whether its instruction is there already, so that nobody has to write it."""

    def ask(
        self,
        requests: Sequence[IdentifiedRequest],
        *,
        before_asking: Callable[[Sequence[IdentifiedRequest]], None],
    ) -> Iterator[Sequence[Answer | Failure]]:
        """Ask for instructions.

        A provider may ask in any order and keep several requests in flight. An error that says nothing
        about the requests (a network that is down, a budget that is spent) is raised; what was announced
        and not answered is then asked again by a later run.

        Args:
            requests: what to ask for.
            before_asking: to be called with the requests that are about to be sent; it returns once they
                are recorded durably.

        Yields:
            Outcomes that have just come; what is yielded together is recorded together, so a provider
            whose answers cost money yields each one when it comes.
        """
