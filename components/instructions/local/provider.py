"""Provider `local`: instructions written on this machine by a transformers model, a group of images at a time."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from PIL import Image

from components.instructions.chat import chat_specification, prompt_of
from components.instructions.endpoint.endpoint import Reply
from components.instructions.image_streak import ImageStreak
from components.instructions.local.pinned_model import pinned_model
from components.instructions.provider import Answer, Failure, PurchaseBook, Send, SendKind, Setback, UnusableReply
from components.instructions.replies.judge import Bill, Judgement, bill_of, judge_reply, repair_of
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sent_image import ImageUnavailableError, SentImage, decode_sent_image, sent_size
from components.instructions.spending.prices import find_price
from components.instructions.spending.purse import BudgetSpentError, CircuitBreaker, PurchaseStoppedError, Purse
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.pool.images import ImageError

if TYPE_CHECKING:
    from components.instructions.local.writer import LocalWriter
    from components.models.vlm.labels import SampleError


class NothingUsableError(PurchaseStoppedError):
    """The model writes nothing that can be used."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way, with the unusable replies it has brought; the last of them is sent back with it."""

    identified: IdentifiedRequest
    replies: tuple[UnusableReply, ...] = ()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A request with its image as the model sees it (or why it cannot), and what it takes at most."""

    asked: _Asked
    image: Image.Image | ImageError
    bill: Bill

    @property
    def send(self) -> Send:
        """As it is announced."""
        kind: SendKind = "repair" if self.asked.replies else "first"
        return Send(self.asked.identified, kind, self.bill.may_cost_usd, replies=len(self.asked.replies))


class LocalProvider:
    """Writes with a model on this machine; see `components.instructions.provider.InstructionProvider`.

    The model is loaded when the first instruction has to be written. Sampling is seeded by the request, so an answer
    depends neither on what else is in its group nor on when it is written, but for rounding
    (`components.models.vlm.write.write_responses`).

    Args:
        parameters: who writes, and what.
        purchase: how many at a time, where, and what it costs.
        pixel_limit: pixels above which an image is not decoded.

    Raises:
        UnknownPriceError: the model has no price.
    """

    name = "local"

    def __init__(self, parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int) -> None:
        assert parameters.model is not None
        self._parameters = parameters
        self._purchase = purchase
        self._pixel_limit = pixel_limit
        self._model = parameters.model
        self._price = find_price(purchase.prices, parameters.model)

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """The model with its version, the task's template and the sampling parameters.

        Raises:
            UnpinnedModelError: the model has no version.
        """
        return [replace(chat_specification(request, self._parameters), model=self._pinned) for request in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """None: every instruction has to be written."""
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Write instructions, `purchase.local.batch_size` at a time.

        Failure reasons: of `ImageError`, of `RuleBrokenError`, and of `SampleError` for what does not fit the model.

        Raises:
            LocalModelError: the model cannot be loaded, or the memory does not suffice.
            ImagesAwayError: the images cannot be read.
            BudgetSpentError: `purchase.spend_at_most_usd` is reached; not for a model that costs nothing.
            NothingUsableError: nothing usable came for `purchase.breaker_failures` attempts.
        """
        costs = self._price.input_usd > 0 or self._price.output_usd > 0
        purse = Purse(self._purchase.spend_at_most_usd, book.run_spent_usd) if costs else None
        breaker = CircuitBreaker(self._purchase.breaker_failures)
        size = self._purchase.local.batch_size
        images = ImageStreak()
        # Prompts of similar length fill a group up with the least padding; the sort keeps the order of equal ones.
        ordered = sorted(requests, key=_characters)
        # A run that ended after an unusable reply goes on with its repair.
        earlier = book.unusable_replies([identified.request_id for identified in requests])
        asked = [_Asked(identified, tuple(earlier.get(identified.request_id, ()))) for identified in ordered]
        first = deque(one for one in asked if not one.replies)
        repairs = deque(one for one in asked if one.replies)
        while first or repairs:
            # As soon as a whole group is to be sent back it goes, so that a run that ends early leaves few of them.
            queue = repairs if len(repairs) >= size or not first else first
            group = self._next_group(queue, book, images)
            if group:
                repairs.extend(self._serve(group, book, purse, breaker))

    def _serve(
        self, group: Sequence[_Opened], book: PurchaseBook, purse: Purse | None, breaker: CircuitBreaker
    ) -> list[_Asked]:
        """Obtain a group; returns what has to be sent back."""
        affordable, spent = _within_budget(group, purse)
        granted = _announce(affordable, book, purse)
        judged = self._judged(granted, book)
        for one, judgement in zip(granted, judged, strict=True):
            outcome = judgement.outcome
            if purse is not None:
                purse.book(one.bill.may_cost_usd, outcome.price_usd)
            if not isinstance(one.image, ImageError) and breaker.note(usable=isinstance(outcome, Answer)):
                assert not isinstance(outcome, Answer)
                raise NothingUsableError(
                    f"{breaker.failures} responses in a row were not usable (purchase.breaker_failures); the last: "
                    f"{outcome.reason}: {outcome.detail}. Everything written is kept; take a model that can follow "
                    "the prompt templates, or simpler templates, and run again"
                )
        if spent is not None:
            raise spent
        return [
            _Asked(one.asked.identified, (*one.asked.replies, judgement.reply))
            for one, judgement in zip(granted, judged, strict=True)
            if judgement.reply is not None
        ]

    def _next_group(self, queue: deque[_Asked], book: PurchaseBook, images: ImageStreak) -> list[_Opened]:
        """Open the images of the next requests; those that cannot be had as things are are left out."""
        group: list[_Opened] = []
        while queue and len(group) < self._purchase.local.batch_size:
            asked = queue.popleft()
            try:
                group.append(self._open(asked))
            except ImageUnavailableError as error:
                book.leave_out(asked.identified, reason=error.reason, detail=error.detail)
                images.unavailable(asked.identified.request.uri, error)
            else:
                images.available()
        return group

    def _open(self, asked: _Asked) -> _Opened:
        """Open and reduce the image of a request."""
        request, limit = asked.identified.request, self._parameters.image_limit
        try:
            _, decoded = decode_sent_image(request.uri, image_sha=request.image_sha, pixel_limit=self._pixel_limit)
        except ImageUnavailableError:
            raise
        except ImageError as error:
            return _Opened(asked, error, Bill(0, 0.0, self._price, batch=False))
        image = decoded.image
        size = sent_size(*image.size, limit=limit)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS)
        shown = SentImage("image/raw", b"", *size)  # nothing is encoded: a bill goes by the size alone
        bill = bill_of(asked.identified, shown, price=self._price, batch=False, repair=repair_of(asked.replies))
        return _Opened(asked, image, bill)

    def _judged(self, group: Sequence[_Opened], book: PurchaseBook) -> list[Judgement]:
        """Have the model write, and settle the whole group."""
        try:
            replies, seconds = self._replies(group)
        except RuntimeError as error:
            # Nothing is charged for what did not come; the next run asks for it again.
            book.settle([Setback(_id(one), "refused", "model_failed", str(error)) for one in group])
            raise
        judged = [self._judge(one, reply, seconds) for one, reply in zip(group, replies, strict=True)]
        book.settle([judgement.outcome for judgement in judged])
        return judged

    def _replies(self, group: Sequence[_Opened]) -> tuple[list["Reply | SampleError | ImageError"], float]:
        """What the model says to each, and seconds that it took for all of them."""
        readable = [(one.asked, one.image) for one in group if not isinstance(one.image, ImageError)]
        if not readable:
            return [one.image for one in group if isinstance(one.image, ImageError)], 0.0
        # Imported here, with torch behind it: a run whose instructions are all in the ledger needs none of it.
        from components.instructions.local.writer import LocalPrompt

        prompts = [LocalPrompt(asked.identified, image, asked.replies) for asked, image in readable]
        writer = self._writer
        began = time.monotonic()
        written = iter(writer.write(prompts))
        seconds = time.monotonic() - began
        return [one.image if isinstance(one.image, ImageError) else next(written) for one in group], seconds

    def _judge(self, one: _Opened, reply: "Reply | SampleError | ImageError", seconds: float) -> Judgement:
        if not isinstance(reply, Reply):
            return Judgement(Failure(_id(one), reply.reason, reply.detail, latency_seconds=seconds), None)
        left = max(0, self._parameters.repairs - len(one.asked.replies))
        return judge_reply(one.asked.identified, reply, one.bill, repairs_left=left, latency_seconds=seconds)

    @cached_property
    def _writer(self) -> "LocalWriter":
        from components.instructions.local.writer import open_writer

        return open_writer(self._parameters, self._purchase.local, model=self._pinned)

    @cached_property
    def _pinned(self) -> str:
        return pinned_model(self._model, self._parameters.revision)


def _within_budget(group: Sequence[_Opened], purse: Purse | None) -> tuple[Sequence[_Opened], BudgetSpentError | None]:
    """Set money aside, up to the first request for which there is not enough."""
    if purse is not None:
        for count, one in enumerate(group):
            if not purse.reserve(one.bill.may_cost_usd):
                return group[:count], purse.spent_error(one.bill.may_cost_usd)
    return group, None


def _announce(group: Sequence[_Opened], book: PurchaseBook, purse: Purse | None) -> list[_Opened]:
    """Announce a group; returns what may be sent."""
    granted = book.announce([one.send for one in group])
    for one, may in zip(group, granted, strict=True):
        if not may and purse is not None:
            purse.book(one.bill.may_cost_usd, 0.0)
    return [one for one, may in zip(group, granted, strict=True) if may]


def _id(one: _Opened) -> str:
    return one.asked.identified.request_id


def _characters(identified: IdentifiedRequest) -> int:
    _, prompt = prompt_of(identified)
    return len(prompt.system) + len(prompt.user)
