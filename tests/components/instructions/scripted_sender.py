"""A `Sender` whose every reply a test decides, and what a purchase through it leaves in the ledger."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from components.instructions.chat import chat_specification
from components.instructions.provider import InstructionProvider, OpenBatch, PurchaseBook
from components.instructions.purchase_errors import EndpointFailsError
from components.instructions.purchase_loop import PurchaseLoop, PurchaseTerms
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sender import GroupResult, PreparedRequest
from components.instructions.sent_image import SentImage, prepare_image
from components.parameters.instructions import InstructionParameters, Price
from tests.components.instructions.purchases import PRICE

Script = Callable[[int, str], Reply | SendFailure]
GOOD = Reply(json.dumps({"turns": [{"question": "What is it?", "response": "A small square."}]}), "stop", "m", 100, 20)
BROKEN = replace(GOOD, text="no JSON")
REFUSED = SendFailure("refused", "server_error", "HTTP 500: made to fail")
REJECTED = SendFailure("rejected", "rejected", "HTTP 400: not this one")


@dataclass
class ScriptedSender:
    """Answers `script(number of the send from 0, sample id)`; a toy provider of the kind that buys through the loop.

    Attributes:
        script: what comes of a send.
        parameters: who is asked, and what.
        spend_at_most_usd: dollars.
        seconds: that a send takes.
        groups: sample ids of each group that was sent, in order.
        stop: why the purchase ends with the first group; None: it does not.
    """

    script: Script
    parameters: InstructionParameters
    group_size: int = 1
    groups_in_flight: int = 1
    group_bytes: int = 10**9
    spend_at_most_usd: float = 1000.0
    seconds: float = 0.0
    stop: Exception | None = None
    groups: list[list[str]] = field(default_factory=list)
    name: str = "scripted"
    batches_at: str | None = None

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        return [chat_specification(request, self.parameters) for request in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        asyncio.run(self._buy(requests, book))

    async def _buy(self, requests: Sequence[IdentifiedRequest], book: PurchaseBook) -> None:
        terms = PurchaseTerms(Price.model_validate(PRICE), self.parameters.repairs, self.spend_at_most_usd)
        await PurchaseLoop(book, self, terms=terms).buy(requests)

    def open_image(self, request: InstructionRequest) -> tuple[SentImage, int]:
        image = prepare_image(request.uri, image_sha=request.image_sha, limit=768, pixel_limit=10**6)
        return image, len(image.data)

    async def wait_for_limits(self, tokens: int) -> None:
        assert tokens > 0

    async def send(self, group: list[PreparedRequest[SentImage]], batch: OpenBatch | None) -> GroupResult:
        assert batch is None
        names = [one.open_request.identified.request.sample_id for one in group]
        number = sum(len(sent) for sent in self.groups)
        self.groups.append(names)
        await asyncio.sleep(self.seconds)
        return GroupResult([self.script(number + place, name) for place, name in enumerate(names)], stop=self.stop)

    def nothing_usable(self, said: str) -> Exception:
        return EndpointFailsError(said)


def as_provider(sender: ScriptedSender) -> InstructionProvider:
    """For mypy alone: it is a provider."""
    return sender
