"""One purchase in batches: rounds of files, each collected before what it left open goes into the next."""

import hashlib
import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.instructions.batch.file import keep_lines, read_results, request_line
from components.instructions.batch.outcomes import BatchOutcomes, outcomes_without_line
from components.instructions.batch.service import (
    BatchFailedError,
    BatchGoneError,
    BatchNotDoneError,
    BatchService,
    NotHandedInError,
    results_file,
)
from components.instructions.chat import chat_body
from components.instructions.endpoint.endpoint import EndpointRefusedError
from components.instructions.image_streak import ImageStreak
from components.instructions.provider import (
    Answer,
    BatchTakenOverError,
    Failure,
    OpenBatch,
    Outcome,
    PurchaseBook,
    Send,
    SendKind,
    Setback,
    UnusableReply,
)
from components.instructions.replies.judge import bill_of, repair_of
from components.instructions.request import IdentifiedRequest
from components.instructions.sent_image import ImageUnavailableError, SentImage, prepare_image
from components.instructions.spending.purse import CircuitBreaker, EndpointFailsError, PurchaseStoppedError, Purse
from components.money import dollars
from components.parameters.instructions import InstructionParameters, Price, PurchaseParameters
from components.pool.images import ImageError

_LOG = logging.getLogger(__name__)
KIND = "batch"
_MEGABYTE = 1_000_000
_SETTLED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _WrittenFile:
    """A request file that is not handed in yet."""

    file: Path
    sends: tuple[Send, ...]


class BatchPurchase:
    """What one purchase in batches knows.

    Args:
        book: where sends are written down.
        service: who runs request files.
        parameters: who is asked, and what.
        purchase: limits and money.
        price: of the model.
        pixel_limit: pixels above which an image is not decoded.
    """

    def __init__(
        self,
        book: PurchaseBook,
        service: BatchService,
        *,
        parameters: InstructionParameters,
        purchase: PurchaseParameters,
        price: Price,
        pixel_limit: int,
    ) -> None:
        self._book = book
        self._service = service
        self._parameters = parameters
        self._purchase = purchase
        self._price = price
        self._pixel_limit = pixel_limit
        self._purse = Purse(purchase.spend_at_most_usd, 0.0)
        self._breaker = CircuitBreaker(purchase.breaker_failures)
        self._failures: Counter[str] = Counter()
        self._replies: dict[str, list[UnusableReply]] = {}
        self._done: set[str] = set()
        self._running: list[OpenBatch] = []
        self._fails = ""
        self._stop: PurchaseStoppedError | None = None
        self._images = ImageStreak()

    def collect_earlier(self) -> None:
        """Collect the batches that a purchase which ended has left out."""
        found = [self._found(batch) for batch in self._book.adopt_batches(KIND, endpoint=self._service.address)]
        adopted = [batch for batch in found if batch is not None]
        self._purse.reserved_usd += sum(send.may_cost_usd for batch in adopted for send in batch.sends)
        self._remember([send.request for batch in adopted for send in batch.sends])
        self._collect(adopted)
        if self._stop is not None:
            # A person may have put it right since; if not, the next batch says so again.
            _LOG.warning("of an earlier batch: %s", self._stop)
            self._stop = None

    def buy(self, requests: Sequence[IdentifiedRequest]) -> None:
        """Send requests in rounds; see `BatchProvider.ask`."""
        if self._fails:  # so said the batches that earlier runs left
            self._raise_failure([])
        self._purse.spent_usd = self._book.run_spent_usd
        out = {send.request.request_id for batch in self._running for send in batch.sends}
        wanted = [one for one in requests if one.request_id not in self._done | out]
        self._remember(wanted)
        while wanted:
            sent, unaffordable = self._send_round(wanted)
            self._collect(sent)
            if self._stop is not None:
                raise self._stop
            if unaffordable:
                raise self._purse.spent_error(unaffordable)
            tried = [send.request for batch in sent for send in batch.sends]
            wanted = [one for one in tried if one.request_id not in self._done]
            given_up = [one for one in wanted if self._failures[one.request_id] >= self._purchase.attempts]
            if self._fails or given_up:
                self._raise_failure(given_up)
        if self._running:
            raise BatchNotDoneError(_how_to_run(self._running))

    def _found(self, batch: OpenBatch) -> OpenBatch | None:
        """An earlier batch under its name; None when there is nothing to collect, and then it is closed."""
        if not batch.sends:  # all is settled, or nothing was ever announced
            self._book.close_batch(batch.number)
            return None
        if batch.reference:
            return batch
        reference = self._service.find(_mark(batch)) if batch.submitting else None
        if reference is None:
            self._book.close_batch(batch.number, sent=batch.submitting)
            if batch.submitting:
                _LOG.warning(
                    "batch %d was about to be handed in to %s when its run ended, and the service lists none like it: "
                    "its %d requests are lost, count at their highest cost and are sent again",
                    batch.number,
                    self._service.address,
                    len(batch.sends),
                )
            return None
        self._book.name_batch(batch.number, reference)
        return replace(batch, reference=reference)

    def _remember(self, requests: Sequence[IdentifiedRequest]) -> None:
        """Replies that were paid for before go on with their repair."""
        found = self._book.unusable_replies([request.request_id for request in requests])
        self._replies.update({request_id: list(replies) for request_id, replies in found.items()})

    def _send_round(self, requests: Sequence[IdentifiedRequest]) -> tuple[list[OpenBatch], float]:
        """Hand in as many files as the requests take; also the cost of a request that there is no money for, or 0."""
        sent: list[OpenBatch] = []
        queue = iter(requests)
        unaffordable = 0.0
        while not unaffordable:
            written, unaffordable = self._write_file(queue)
            if not written.sends:
                written.file.unlink()
                break
            batch = self._hand_in(written)
            if batch is not None:
                sent.append(batch)
        return sent, unaffordable

    def _write_file(self, queue: Iterator[IdentifiedRequest]) -> tuple[_WrittenFile, float]:
        limits = self._purchase.batch
        folder = Path(limits.folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Not named after the process: two containers that share the folder may both be process 1.
        file = folder / f"writing-{uuid.uuid4().hex}.part"
        sends: list[Send] = []
        size = 0
        with file.open("wb") as target:
            for identified in queue:
                image = self._image(identified)
                if image is None:
                    continue
                replies = self._replies.get(identified.request_id, ())
                repair = repair_of(replies)
                bill = bill_of(identified, image, price=self._price, batch=True, repair=repair)
                if not self._purse.reserve(bill.may_cost_usd):
                    return _WrittenFile(file, tuple(sends)), bill.may_cost_usd
                size += target.write(request_line(identified.request_id, chat_body(identified, image, repair=repair)))
                kind: SendKind = "first" if repair is None else "repair"
                sends.append(Send(identified, kind, bill.may_cost_usd, replies=len(replies)))
                if len(sends) >= limits.requests_per_file or size >= limits.megabytes_per_file * _MEGABYTE * 0.95:
                    break
            target.flush()
            os.fsync(target.fileno())
        return _WrittenFile(file, tuple(sends)), 0.0

    def _image(self, identified: IdentifiedRequest) -> SentImage | None:
        request = identified.request
        try:
            image = prepare_image(
                request.uri,
                image_sha=request.image_sha,
                limit=self._parameters.image_limit,
                pixel_limit=self._pixel_limit,
            )
        except ImageUnavailableError as error:
            self._book.leave_out(identified, reason=error.reason, detail=error.detail)
            self._images.unavailable(request.uri, error)
            return None
        except ImageError as error:
            if self._book.announce([Send(identified)])[0]:
                self._book.settle([Failure(identified.request_id, error.reason, error.detail)])
            return None
        self._images.available()
        return image

    def _hand_in(self, written: _WrittenFile) -> OpenBatch | None:
        number, granted = self._book.announce_batch(KIND, written.sends, endpoint=self._service.address)
        taken = tuple(send for send, may in zip(written.sends, granted, strict=True) if may)
        for send, may in zip(written.sends, granted, strict=True):
            if not may:
                self._purse.book(send.may_cost_usd, 0.0)
        batch = OpenBatch(number, "", taken)
        if not taken:
            self._book.close_batch(number, sent=False)
            written.file.unlink()
            return None
        if len(taken) < len(written.sends):
            keep_lines(written.file, [send.request.request_id for send in taken])
        file = written.file.with_name(f"{_mark(batch)}.jsonl")
        written.file.replace(file)
        try:
            reference = self._submit(batch, file)
        except BatchTakenOverError as taken_over:
            self._leave_to_other(batch, taken_over)
            return None
        self._book.name_batch(number, reference)
        _LOG.info("batch %s: %d requests handed in", reference, len(taken))
        return replace(batch, reference=reference)

    def _submit(self, batch: OpenBatch, file: Path) -> str:
        """Hand a file in; when it was not taken for certain, its requests are free again."""
        begun = False
        try:
            uploaded = self._service.upload(file)
            self._book.submit_batch(batch.number)
            begun = True
            return self._service.submit(uploaded, _mark(batch))
        except NotHandedInError as refused:
            self._book.close_batch(batch.number, sent=False)
            raise refused.cause from None
        except (EndpointRefusedError, EndpointFailsError):
            if not begun:
                self._book.close_batch(batch.number, sent=False)
            raise

    def _collect(self, batches: Sequence[OpenBatch]) -> None:
        lacking = [message for batch in batches if (message := self._collect_one(batch))]
        if lacking:
            raise EndpointFailsError(lacking[0])

    def _collect_one(self, batch: OpenBatch) -> str:
        """Settle what has come of a batch, and close it; what to tell a person when it cannot be closed yet."""
        try:
            return self._collected(batch)
        except BatchTakenOverError as taken_over:
            self._leave_to_other(batch, taken_over)
            return ""

    def _collected(self, batch: OpenBatch) -> str:
        making = BatchOutcomes(batch, prices=self._purchase.prices, repairs=self._parameters.repairs)
        try:
            results = self._service.results(batch.reference, [send.request.request_id for send in batch.sends])
        except BatchFailedError as failed:
            self._stop = failed
            self._settle(batch, outcomes_without_line(batch, set(), failed=str(failed)))
            self._book.close_batch(batch.number)
            return ""
        except BatchGoneError as gone:
            raise BatchGoneError(f"{gone}. {_how_to_give_up(batch)}") from None
        if results is None:
            self._running.append(batch)
            return ""
        lines = list(read_results(results.texts, self._service.reader))
        outcomes = list(making.of_lines(lines, self._replies))
        settled = {outcome.request_id for outcome in outcomes}
        if results.lacking:
            self._settle(batch, outcomes)
            return (
                f"the results of batch {batch.reference} lack {results.lacking:,} answers that the endpoint counts; "
                f"what came is kept, the batch stays open, and the next run looks again. {_how_to_give_up(batch)}"
            )
        self._settle(batch, outcomes + outcomes_without_line(batch, settled))
        self._book.close_batch(batch.number)
        self._stop = making.refusal or self._stop
        return ""

    def _leave_to_other(self, batch: OpenBatch, taken_over: BatchTakenOverError) -> None:
        """Another purchase took the batch while this one was not seen alive: it settles what comes of it."""
        _LOG.warning("%s; it is left to that run", taken_over)
        for send in batch.sends:
            self._purse.book(send.may_cost_usd, 0.0)

    def _settle(self, batch: OpenBatch, outcomes: Sequence[Outcome]) -> None:
        for start in range(0, len(outcomes), _SETTLED_AT_ONCE):
            self._book.settle(outcomes[start : start + _SETTLED_AT_ONCE])
        may_cost = {send.request.request_id: send.may_cost_usd for send in batch.sends}
        for outcome in outcomes:
            reserved = may_cost[outcome.request_id]
            unknown = isinstance(outcome, Setback) and outcome.outcome == "unknown"
            self._purse.book(reserved, reserved if unknown else outcome.price_usd)
            if not isinstance(outcome, Setback):
                self._done.add(outcome.request_id)
            elif outcome.outcome != "unusable":
                self._failures[outcome.request_id] += 1
        self._judge_batch(outcomes)

    def _judge_batch(self, outcomes: Sequence[Outcome]) -> None:
        """Tell the breaker; results have no order in time, so that one answer speaks for its whole batch."""
        if any(isinstance(outcome, Answer) for outcome in outcomes):
            self._breaker.note(usable=True)
            return
        for outcome in outcomes:
            was_run = not (isinstance(outcome, Setback) and outcome.outcome == "refused")
            if was_run and not isinstance(outcome, Answer) and self._breaker.note(usable=False):
                self._fails = f"{outcome.reason}: {outcome.detail}"

    def _raise_failure(self, given_up: Sequence[IdentifiedRequest]) -> None:
        if self._fails:
            raise EndpointFailsError(
                f"{self._purchase.breaker_failures} results in a row brought nothing usable "
                f"(purchase.breaker_failures); the last: {self._fails}. Everything bought is kept; look at the "
                "endpoint and the prompt templates, and run again"
            )
        raise EndpointFailsError(
            f"{len(given_up):,} requests had no result in {self._purchase.attempts} batches; run again to ask for them"
        )


def _mark(batch: OpenBatch) -> str:
    """The same for the same requests in the same batch, so that a batch whose name was not written down is found."""
    ids = sorted(send.request.request_id for send in batch.sends)
    return hashlib.sha256(f"{batch.number} {' '.join(ids)}".encode()).hexdigest()[:32]


def _how_to_run(batches: Sequence[OpenBatch]) -> str:
    commands, begun = "", ""
    for batch in batches:
        asked, results = batch.reference, results_file(batch.reference)
        model = batch.sends[0].request.specification.model
        commands += f"\n  vllm run-batch -i {asked} -o {results} --model {model}"
        if results.exists():
            begun += f"\n{results} is not complete yet: it needs a line for every request and a newline at its end"
    count = sum(len(batch.sends) for batch in batches)
    return f"{count:,} requests are written. Run them, then run presel again to collect the results:{commands}{begun}"


def _how_to_give_up(batch: OpenBatch) -> str:
    cost = dollars(sum(send.may_cost_usd for send in batch.sends))
    return (
        f"When its results will never come, `presel batches give-up {batch.number}` closes it: what is open in it then "
        f"counts as lost, at its highest cost ({cost} for all of it), and the next run buys it again"
    )
