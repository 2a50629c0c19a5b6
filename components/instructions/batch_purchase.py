"""One purchase in batches: rounds of files, each collected before what it left open goes into the next."""

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.images import ImageError
from components.instruction_parameters import InstructionParameters, Price, PurchaseParameters
from components.instructions.batch_file import BatchLine, keep_lines, read_results, request_line
from components.instructions.batch_service import BatchNotDoneError, BatchService, results_file
from components.instructions.chat import chat_body
from components.instructions.endpoint import AttemptFailedError, EndpointRefusedError
from components.instructions.judge import Bill, bill_of, judge_reply, repair_of
from components.instructions.provider import (
    Answer,
    Failure,
    OpenBatch,
    Outcome,
    PurchaseBook,
    Send,
    SendKind,
    Setback,
    UnusableReply,
)
from components.instructions.purse import CircuitBreaker, EndpointFailsError, Purse
from components.instructions.request import IdentifiedRequest
from components.instructions.sent_image import SentImage, prepare_image

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

    def collect_earlier(self) -> None:
        """Collect the batches that a purchase which ended has left out."""
        adopted = []
        for batch in self._book.adopt_batches(KIND):
            reference = batch.reference or self._service.find(_mark(batch.sends))
            if reference is None:
                # It ended before the file was handed in.
                self._book.close_batch(batch.number, sent=False)
                continue
            self._book.name_batch(batch.number, reference)
            adopted.append(OpenBatch(batch.number, reference, batch.sends))
            self._purse.reserved_usd += sum(send.may_cost_usd for send in batch.sends)
        self._remember([send.request for batch in adopted for send in batch.sends])
        self._collect(adopted)

    def buy(self, requests: Sequence[IdentifiedRequest]) -> None:
        """Send requests in rounds; see `BatchProvider.ask`."""
        self._purse.spent_usd = self._book.run_spent_usd
        out = {send.request.request_id for batch in self._running for send in batch.sends}
        wanted = [one for one in requests if one.request_id not in self._done | out]
        self._remember(wanted)
        while wanted:
            sent, unaffordable = self._send_round(wanted)
            self._collect(sent)
            if unaffordable:
                raise self._purse.spent_error(unaffordable)
            tried = [send.request for batch in sent for send in batch.sends]
            wanted = [one for one in tried if one.request_id not in self._done]
            given_up = [one for one in wanted if self._failures[one.request_id] >= self._purchase.attempts]
            if self._fails or given_up:
                self._raise_failure(given_up)
        if self._running:
            raise BatchNotDoneError(_how_to_run(self._running, self._parameters.model))

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
        file = folder / f"writing-{os.getpid()}.part"
        sends: list[Send] = []
        size = 0
        with file.open("wb") as target:
            for identified in queue:
                image = self._image(identified)
                if image is None:
                    continue
                repair = repair_of(self._replies.get(identified.request_id, ()))
                bill = bill_of(identified, image, price=self._price, batch=True, repair=repair)
                if not self._purse.reserve(bill.may_cost_usd):
                    return _WrittenFile(file, tuple(sends)), bill.may_cost_usd
                size += target.write(request_line(identified.request_id, chat_body(identified, image, repair=repair)))
                kind: SendKind = "first" if repair is None else "repair"
                sends.append(Send(identified, kind, bill.may_cost_usd))
                if len(sends) >= limits.requests_per_file or size >= limits.megabytes_per_file * _MEGABYTE * 0.95:
                    break
            target.flush()
            os.fsync(target.fileno())
        return _WrittenFile(file, tuple(sends)), 0.0

    def _image(self, identified: IdentifiedRequest) -> SentImage | None:
        request = identified.request
        try:
            return prepare_image(
                request.uri,
                image_sha=request.image_sha,
                limit=self._parameters.image_limit,
                pixel_limit=self._pixel_limit,
            )
        except ImageError as error:
            if self._book.announce([Send(identified)])[0]:
                self._book.settle([Failure(identified.request_id, error.reason, error.detail)])
            return None

    def _hand_in(self, written: _WrittenFile) -> OpenBatch | None:
        number = self._book.open_batch(KIND)
        sends = [Send(send.request, send.kind, send.may_cost_usd, number) for send in written.sends]
        granted = self._book.announce(sends)
        taken = tuple(send for send, may in zip(sends, granted, strict=True) if may)
        for send, may in zip(sends, granted, strict=True):
            if not may:
                self._purse.book(send.may_cost_usd, 0.0)
        if not taken:
            self._book.close_batch(number)
            written.file.unlink()
            return None
        if len(taken) < len(sends):
            keep_lines(written.file, [send.request.request_id for send in taken])
        mark = _mark(taken)
        file = written.file.with_name(f"{mark}.jsonl")
        written.file.replace(file)
        reference = self._service.submit(file, mark)
        self._book.name_batch(number, reference)
        _LOG.info("batch %s: %d requests handed in", reference, len(taken))
        return OpenBatch(number, reference, taken)

    def _collect(self, batches: Sequence[OpenBatch]) -> None:
        for batch in batches:
            try:
                texts = self._service.results(batch.reference)
            except EndpointRefusedError:
                self._settle(batch, [])
                raise
            if texts is None:
                self._running.append(batch)
            else:
                self._settle(batch, texts)

    def _settle(self, batch: OpenBatch, texts: Sequence[str]) -> None:
        waiting = {send.request.request_id: send for send in batch.sends}
        outcomes: list[Outcome] = []
        for line in read_results(texts, self._service.reader):
            send = waiting.pop(line.request_id, None)
            if send is None:  # settled before a kill, or of another purchase
                continue
            outcomes.append(self._judge(send, line))
            if len(outcomes) >= _SETTLED_AT_ONCE:
                self._write_down(outcomes, batch)
                outcomes = []
        missing = "the batch ended without a result for it"
        outcomes += [Setback(request_id, "refused", "no_result", missing) for request_id in waiting]
        self._write_down(outcomes, batch)
        self._book.close_batch(batch.number)

    def _judge(self, send: Send, line: BatchLine) -> Outcome:
        request_id = send.request.request_id
        if line.reply is None:
            if isinstance(line.error, AttemptFailedError):
                return Setback(request_id, line.error.outcome, line.error.reason, line.error.detail)
            return Failure(request_id, "rejected", str(line.error))
        replies = self._replies.setdefault(request_id, [])
        bill = Bill(0, send.may_cost_usd, self._price, batch=True)
        left = max(0, self._parameters.repairs - len(replies))
        judged = judge_reply(send.request, line.reply, bill, repairs_left=left, latency_seconds=0.0)
        if judged.reply is not None:
            replies.append(judged.reply)
        return judged.outcome

    def _write_down(self, outcomes: Sequence[Outcome], batch: OpenBatch) -> None:
        self._book.settle(outcomes)
        reserved = {send.request.request_id: send.may_cost_usd for send in batch.sends}
        for outcome in outcomes:
            unknown = isinstance(outcome, Setback) and outcome.outcome == "unknown"
            may_cost = reserved[outcome.request_id]
            self._purse.book(may_cost, may_cost if unknown else outcome.price_usd)
            if not isinstance(outcome, Setback):
                self._done.add(outcome.request_id)
            elif outcome.outcome != "unusable":
                self._failures[outcome.request_id] += 1
            if self._breaker.note(usable=isinstance(outcome, Answer)) and not isinstance(outcome, Answer):
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


def _mark(sends: Sequence[Send]) -> str:
    """The same for the same requests in the same batch, so that a batch whose name was not written down is found."""
    ids = sorted(send.request.request_id for send in sends)
    return hashlib.sha256(f"{sends[0].batch} {' '.join(ids)}".encode()).hexdigest()[:32]


def _how_to_run(batches: Sequence[OpenBatch], model: str) -> str:
    files = [(batch.reference, results_file(batch.reference)) for batch in batches]
    commands = "".join(f"\n  vllm run-batch -i {asked} -o {results} --model {model}" for asked, results in files)
    count = sum(len(batch.sends) for batch in batches)
    return f"{count:,} requests are written. Run them, then run presel again to collect the results:{commands}"
