"""Sends groups of requests as batches: a file for each, handed in, waited for and collected."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.instructions.batch.file import read_results, request_line, write_request_file
from components.instructions.batch.service import (
    BatchFailedError,
    BatchGoneError,
    BatchNotDoneError,
    BatchService,
    NotHandedInError,
    results_file,
)
from components.instructions.chat_provider import ChatPurchase
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.provider import OpenBatch, PurchaseBook
from components.instructions.purchase_errors import EndpointFailsError, NothingUsableError
from components.instructions.reply import Reply, SendFailure
from components.instructions.sender import GroupResult, PreparedRequest
from components.instructions.sent_image import SentImage
from components.text import dollars

_LOG = logging.getLogger(__name__)
# Where request and result files are: among what the project keeps for itself, and out of DVC's way.
FOLDER = Path(".presel/batches")
# OpenAI takes 50,000 requests and 200 MB: a fifth and a half of that, so that a file that fails costs less to repeat.
REQUESTS_PER_FILE = 10_000
BYTES_PER_FILE = 95_000_000
# More than an account has room for at a time; every one that waits has a file, and no image, in memory.
_BATCHES_IN_FLIGHT = 100
# Of one line among others that were answered: what this request may not have, not what the account may not.
_ABOUT_ONE_REQUEST = frozenset({404, 405, 410})


class BatchSender:
    """Sends requests in batches; see `components.instructions.sender.Sender`.

    Args:
        service: who runs request files.
        book: where batches are written down.
        bought: what the purchase goes by.
        folder: of the request files.
        requests_per_file: at most.
    """

    group_bytes = BYTES_PER_FILE
    groups_in_flight = _BATCHES_IN_FLIGHT

    def __init__(
        self,
        service: BatchService,
        book: PurchaseBook,
        bought: ChatPurchase,
        *,
        folder: Path,
        requests_per_file: int,
    ) -> None:
        self.batches_at = service.address
        self.group_size = requests_per_file
        self.open_image = bought.open_image
        self._bought = bought
        self._service = service
        self._book = book
        self._folder = folder
        self._not_run: list[OpenBatch] = []

    async def wait_for_limits(self, tokens: int) -> None:
        """A service has limits of its own, which it keeps by itself."""

    async def send(self, group: list[PreparedRequest[SentImage]], batch: OpenBatch | None) -> GroupResult:
        """Write a file, hand it in, and wait for what comes of it.

        Raises:
            EndpointRefusedError: the service takes nothing from this account.
            EndpointFailsError: it fails.
        """
        assert batch is not None
        return await self.collect(replace(batch, reference=self._hand_in(group, batch)))

    def _hand_in(self, group: list[PreparedRequest[SentImage]], batch: OpenBatch) -> str:
        """Returns what the service calls the batch; when it was not taken for certain, its requests are free again."""
        file = self._folder / f"{batch_mark(batch)}.jsonl"
        begun = False
        try:
            write_request_file(file, (self._line(one) for one in group))
            group.clear()
            uploaded = self._service.upload(file)
            self._book.submit_batch(batch.number)
            begun = True
            reference = self._service.submit(uploaded, batch_mark(batch))
        except NotHandedInError as refused:
            self._book.close_batch(batch.number, sent=False)
            raise refused.cause from None
        except (EndpointRefusedError, EndpointFailsError, OSError):
            if not begun:
                self._book.close_batch(batch.number, sent=False)
            raise
        self._book.name_batch(batch.number, reference)
        _LOG.info("batch %s: %d requests handed in", reference, len(batch.sends))
        return reference

    def _line(self, prepared: PreparedRequest[SentImage]) -> bytes:
        asked = prepared.open_request
        return request_line(asked.identified.request_id, self._bought.body(asked, prepared.image))

    async def collect(self, batch: OpenBatch) -> GroupResult:
        """Wait until a batch is done, and read what has come of it.

        Raises:
            BatchGoneError: the service does not know it.
        """
        ids = [one.request_id for one in batch.requests]
        try:
            results = await self._service.results(batch.reference, ids)
        except BatchFailedError as failed:
            return GroupResult([SendFailure("not_run", "batch_failed", str(failed))] * len(ids), stop=failed)
        except BatchGoneError as gone:
            raise BatchGoneError(f"{gone}. {_how_to_give_up(batch)}") from None
        if results is None:
            self._not_run.append(batch)
            return GroupResult([None] * len(ids), complete=False)
        lines = read_results(results.texts, self._service.reader)
        answered = any(isinstance(line, Reply) for line in lines.values())
        refusals = [error for line in lines.values() if (error := _account_error(line, answered=answered)) is not None]
        replies = [_of_line(lines.get(request_id), answered=answered) for request_id in ids]
        if results.lacking:
            stop = EndpointFailsError(
                f"the results of batch {batch.reference} lack {results.lacking:,} answers that the endpoint counts; "
                f"what came is kept, the batch stays open, and the next run looks again. {_how_to_give_up(batch)}"
            )
            return GroupResult(replies, stop=stop, complete=False)
        missing = SendFailure("unknown", "no_result", "the batch ended without a result for it")
        return GroupResult([reply or missing for reply in replies], stop=refusals[-1] if refusals else None)

    async def named(self, batch: OpenBatch) -> OpenBatch | None:
        """An earlier batch under its name; None when there is nothing to collect, and then it is closed."""
        if not batch.sends:  # all is settled, or nothing was ever announced
            self._book.close_batch(batch.number)
            return None
        if batch.reference:
            return batch
        reference = await self._service.find(batch_mark(batch)) if batch.submitting else None
        if reference is None:
            self._book.close_batch(batch.number, sent=batch.submitting)
            if batch.submitting:
                _LOG.warning(
                    "batch %d was about to be handed in to %s when its run ended, and the service lists none like it: "
                    "its %d requests are lost, count at their highest cost and are sent again",
                    batch.number,
                    self.batches_at,
                    len(batch.sends),
                )
            return None
        self._book.name_batch(batch.number, reference)
        return replace(batch, reference=reference)

    def raise_if_not_run(self) -> None:
        """Say what somebody has to run.

        Raises:
            BatchNotDoneError: there are request files without results.
        """
        if self._not_run:
            raise BatchNotDoneError(_how_to_run(self._not_run))

    def nothing_usable(self, said: str) -> Exception:
        """Whoever runs the service, or has written the templates, can put it right."""
        return NothingUsableError(f"{said}; look at the endpoint and the prompt templates, and run again")


def batch_mark(batch: OpenBatch) -> str:
    """The same for the same requests in the same batch, so that a batch whose name was not written down is found."""
    ids = sorted(one.request_id for one in batch.requests)
    return hashlib.sha256(f"{batch.number} {' '.join(ids)}".encode()).hexdigest()[:32]


def _of_line(line: Reply | SendFailure | None, *, answered: bool) -> Reply | SendFailure | None:
    """What a line says of its request: one that is rejected among others that were answered is not asked once more."""
    if line is None or isinstance(line, Reply):
        return line
    if line.kind == "account" and _account_error(line, answered=answered) is not None:
        return SendFailure("not_run", "account_refused", line.detail)
    if answered and line.kind in ("rejected", "account"):
        return replace(line, kind="final", reason="rejected")
    return line


def _account_error(line: Reply | SendFailure, *, answered: bool) -> Exception | None:
    """What a line says of the account; None when it says nothing of it."""
    if isinstance(line, Reply) or line.kind != "account":
        return None
    assert isinstance(line.error, EndpointRefusedError)
    return None if answered and line.error.status in _ABOUT_ONE_REQUEST else line.error


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
