"""Who runs a batch file: an OpenAI-compatible batch service, or somebody with `vllm run-batch`."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import openai
from openai.types import Batch

from components.instruction_parameters import PurchaseParameters
from components.instructions.endpoint import EndpointRefusedError, ReplyReader, endpoint_key
from components.instructions.purse import EndpointFailsError, PurchaseStoppedError

_LOG = logging.getLogger(__name__)
_MARK = "presel_batch"
_RUNNING = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
# Asking how a batch is doing costs nothing and is tried again; what buys is not.
_FREE_RETRIES = 5


class BatchNotDoneError(PurchaseStoppedError):
    """Request files are written and somebody has to run them."""


class BatchService(Protocol):
    """Runs request files."""

    @property
    def reader(self) -> ReplyReader:
        """Takes replies apart."""

    def submit(self, file: Path, mark: str) -> str:
        """Hand a file in, under a mark by which it is found again; returns what the service calls it."""

    def find(self, mark: str) -> str | None:
        """What the service calls the batch of that mark; None when it was never handed in."""

    def results(self, reference: str) -> Sequence[str] | None:
        """Wait until a batch is done; its output and error files, or None when somebody has to run it first."""


@contextmanager
def open_batch_service(parameters: PurchaseParameters) -> Iterator[BatchService]:
    """The service that `purchase.batch` names.

    Raises:
        EndpointRefusedError: there is no key.
    """
    if not parameters.batch.submit:
        yield BatchFolder(Path(parameters.batch.folder), key=os.environ.get(parameters.key_variable, ""))
        return
    key = endpoint_key(parameters)
    with openai.OpenAI(
        api_key=key, base_url=parameters.base_url, timeout=parameters.timeout_seconds, max_retries=0
    ) as client:
        yield EndpointBatches(client, ReplyReader(parameters.base_url, key), poll_seconds=parameters.batch.poll_seconds)


class BatchFolder:
    """Files that somebody runs, with `vllm run-batch` for example: results lie beside the requests.

    Args:
        folder: of the request files.
        key: to keep out of every text.
    """

    def __init__(self, folder: Path, *, key: str) -> None:
        self._folder = folder
        self.reader = ReplyReader(str(folder), key)

    def submit(self, file: Path, mark: str) -> str:  # noqa: ARG002 -- the file's name is its mark
        """The file is where it has to be."""
        return str(file)

    def find(self, mark: str) -> str | None:
        """The file of that mark."""
        file = self._folder / f"{mark}.jsonl"
        return str(file) if file.exists() else None

    def results(self, reference: str) -> Sequence[str] | None:
        """The result file, when it is there."""
        file = results_file(reference)
        return [file.read_text(encoding="utf-8")] if file.exists() else None


class EndpointBatches:
    """The batch service of an endpoint.

    Args:
        client: of the endpoint.
        reader: takes its replies apart.
        poll_seconds: between two looks at a batch.
    """

    def __init__(self, client: openai.OpenAI, reader: ReplyReader, *, poll_seconds: float) -> None:
        self.reader = reader
        self._client = client
        self._patient = client.with_options(max_retries=_FREE_RETRIES)
        self._poll_seconds = poll_seconds

    def submit(self, file: Path, mark: str) -> str:
        """Upload a file and begin its batch."""
        with _explained(self.reader):
            with file.open("rb") as stream:
                uploaded = self._client.files.create(file=(file.name, stream), purpose="batch")
            batch = self._client.batches.create(
                input_file_id=uploaded.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_MARK: mark},
            )
        return batch.id

    def find(self, mark: str) -> str | None:
        """The batch that carries the mark."""
        with _explained(self.reader):
            for batch in self._patient.batches.list(limit=100):
                if (batch.metadata or {}).get(_MARK) == mark:
                    return batch.id
        return None

    def results(self, reference: str) -> Sequence[str]:
        """Wait until the batch is done; what it has answered, also when it expired or was cancelled."""
        batch = self._wait(reference)
        if batch.status == "failed":
            said = "; ".join(error.message or "" for error in (batch.errors.data or [])) if batch.errors else ""
            raise EndpointRefusedError(
                f"the endpoint refused batch {reference}: {self.reader.detail(said) or 'it does not say why'}. Correct "
                "instructions.model or the prompt templates and run again"
            )
        files = [name for name in (batch.output_file_id, batch.error_file_id) if name]
        with _explained(self.reader):
            return [self._patient.files.content(name).text for name in files]

    def _wait(self, reference: str) -> Batch:
        while True:
            with _explained(self.reader):
                batch = self._patient.batches.retrieve(reference)
            if batch.status not in _RUNNING:
                return batch
            counts = batch.request_counts
            done = f", {counts.completed + counts.failed:,} of {counts.total:,} requests" if counts else ""
            _LOG.info("batch %s: %s%s", reference, batch.status, done)
            time.sleep(self._poll_seconds)


def results_file(reference: str) -> Path:
    """Where the results of a request file are expected."""
    return Path(reference).with_suffix(".results.jsonl")


@contextmanager
def _explained(reader: ReplyReader) -> Iterator[None]:
    """Turn the client's errors into those of a purchase, without the key."""
    try:
        yield
    except openai.APIError as error:
        explained = reader.explain(error)
        if isinstance(explained, EndpointRefusedError):
            raise explained from None
        raise EndpointFailsError(
            f"the batch service fails ({explained}); batches that are out are collected by the next run"
        ) from None
