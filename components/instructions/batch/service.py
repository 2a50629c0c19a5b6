"""Who runs a batch file: an OpenAI-compatible batch service, or somebody with `vllm run-batch`."""

import asyncio
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import openai
from openai.pagination import SyncCursorPage
from openai.types import Batch, FileObject

from components.instructions.batch.file import listed_ids
from components.instructions.endpoint.endpoint import endpoint_key, is_on_this_machine
from components.instructions.endpoint.http_client import CONNECTIONS, BoundedClient
from components.instructions.endpoint.reply_reader import EndpointRefusedError, ReplyReader
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from components.instructions.reply import SendFailure
from components.parameters.instructions import PurchaseParameters

_LOG = logging.getLogger(__name__)
_Reply = TypeVar("_Reply")
_MARK = "presel_batch"
_DONE = frozenset({"completed", "expired", "cancelled"})
# OpenAI's, and what others call the same.
_RUNS = frozenset(
    [
        "validating",
        "in_progress",
        "finalizing",
        "cancelling",
        "created",
        "submitted",
        "scheduled",
        "queued",
        "pending",
        "preparing",
        "running",
        "processing",
        "paused",
    ]
)
FILES = "files"
# Asking how a batch is doing costs nothing and is tried again; what buys is not.
_FREE_RETRIES = 5
# Looks for a batch in the service's list, which may show it late, and downloads of results that lack lines.
_LOOKS = 5
_LONGEST_PAUSE_SECONDS = 15.0


class BatchNotDoneError(PurchaseStoppedError):
    """Request files are written and somebody has to run them."""


class BatchFailedError(PurchaseStoppedError):
    """The service says that it runs nothing of a batch, because of what is in its file."""


class BatchGoneError(PurchaseStoppedError):
    """The service does not know a batch that it took, or its results cannot be read."""


class NotHandedInError(Exception):
    """The service has not taken a batch, for certain.

    Attributes:
        cause: what to tell a person.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(frozen=True, slots=True)
class BatchResults:
    """What has come of a batch.

    Attributes:
        texts: output and error file.
        lacking: answers that the service counts and that are not in the files.
    """

    texts: tuple[str, ...]
    lacking: int = 0


class BatchService(Protocol):
    """Runs request files."""

    @property
    def reader(self) -> ReplyReader:
        """Takes replies apart."""

    @property
    def address(self) -> str:
        """Where its batches are, without secrets: no other service is asked for them."""

    def upload(self, file: Path) -> str:
        """Bring a file to the service, which costs nothing; returns what the service calls it."""

    def submit(self, uploaded: str, mark: str) -> str:
        """Begin the batch of an uploaded file, under a mark by which it is found again; returns the batch's name.

        Raises:
            NotHandedInError: it was not begun. After any other error it may have been.
        """

    async def find(self, mark: str) -> str | None:
        """What the service calls the batch of that mark; None when it does not show one, after some patience."""

    async def results(self, reference: str, request_ids: Collection[str]) -> BatchResults | None:
        """Wait until a batch is done; what has come of it, or None when somebody has to run it first.

        Raises:
            BatchFailedError: nothing of it was run.
            BatchGoneError: the service does not know it.
        """


@contextmanager
def open_batch_service(parameters: PurchaseParameters, *, folder: Path) -> Iterator[BatchService]:
    """The service that `purchase.batch` names.

    Args:
        parameters: the endpoint, or that there is none.
        folder: of the request files.

    Raises:
        EndpointRefusedError: there is no key.
    """
    if not parameters.batch.submit:
        yield BatchFolder(folder, key=os.environ.get(parameters.key_variable, "").strip())
        return
    key = endpoint_key(parameters)
    with openai.OpenAI(
        api_key=key,
        base_url=parameters.base_url,
        timeout=parameters.timeout_seconds,
        max_retries=0,
        http_client=BoundedClient(trust_env=not is_on_this_machine(parameters.base_url), limits=CONNECTIONS),
    ) as client:
        yield EndpointBatches(
            client,
            ReplyReader(parameters.base_url, key),
            address=_plain_address(parameters.base_url),
            poll_seconds=parameters.batch.poll_seconds,
        )


class BatchFolder:
    """Files that somebody runs, with `vllm run-batch` for example: results lie beside the requests.

    Args:
        folder: of the request files.
        key: to keep out of every text.
    """

    address = FILES

    def __init__(self, folder: Path, *, key: str) -> None:
        self._folder = folder
        self.reader = ReplyReader(str(folder), key)

    def upload(self, file: Path) -> str:
        """The file is where it has to be."""
        return str(file)

    def submit(self, uploaded: str, mark: str) -> str:  # noqa: ARG002 -- the file's name is its mark
        """The file is what somebody will run."""
        return uploaded

    async def find(self, mark: str) -> str | None:
        """The file of that mark."""
        file = self._folder / f"{mark}.jsonl"
        return str(file) if file.exists() else None

    async def results(self, reference: str, request_ids: Collection[str]) -> BatchResults | None:
        """The result file, when it is there with a whole line for every request."""
        file = results_file(reference)
        if not file.exists():
            return None
        try:
            text = file.read_bytes().decode("utf-8", errors="replace")
        except OSError as error:
            raise BatchGoneError(f"the results {file} cannot be read ({error.strerror})") from None
        return BatchResults((text,)) if text.endswith("\n") and listed_ids(text).issuperset(request_ids) else None


class EndpointBatches:
    """The batch service of an endpoint.

    Args:
        client: of the endpoint.
        reader: takes its replies apart.
        address: of the endpoint.
        poll_seconds: between two looks at a batch.
    """

    def __init__(self, client: openai.OpenAI, reader: ReplyReader, *, address: str, poll_seconds: float) -> None:
        self.reader = reader
        self.address = address
        self._client = client
        self._patient = client.with_options(max_retries=_FREE_RETRIES)
        self._poll_seconds = poll_seconds

    def upload(self, file: Path) -> str:
        """Upload a file."""
        with self._explained(), file.open("rb") as stream:
            uploaded = self._client.files.create(file=(file.name, stream), purpose="batch")
        return self._checked(uploaded, FileObject).id

    def submit(self, uploaded: str, mark: str) -> str:
        """Begin a batch."""
        with self._explained():
            try:
                batch = self._client.batches.create(
                    input_file_id=uploaded,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={_MARK: mark},
                )
            except openai.APIError as error:
                if _was_not_taken(error):
                    raise NotHandedInError(self._failure(error)) from None
                raise
        return self._checked(batch, Batch).id

    async def find(self, mark: str) -> str | None:
        """The batch that carries the mark; a list may show a batch some seconds late."""
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(min(self._poll_seconds, _LONGEST_PAUSE_SECONDS))
            with self._explained():
                page = self._patient.batches.list(limit=100)
                for batch in self._checked(page, SyncCursorPage):
                    if (batch.metadata or {}).get(_MARK) == mark:
                        return str(batch.id)
        return None

    async def results(self, reference: str, request_ids: Collection[str]) -> BatchResults:  # noqa: ARG002 -- the service counts them
        """Wait until the batch is done; what it has answered, also when it expired or was cancelled."""
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(min(self._poll_seconds, _LONGEST_PAUSE_SECONDS))
            batch = await self._wait(reference)
            output, errors = (self._content(reference, name) for name in (batch.output_file_id, batch.error_file_id))
            counts = batch.request_counts
            completed, failed = (int(counts.completed or 0), int(counts.failed or 0)) if counts else (0, 0)
            # Some services count as completed what they then write into the error file.
            among_errors = len(listed_ids(errors, run_alone=True) - listed_ids(output))
            lacking = max(0, completed - len(listed_ids(output)) - max(0, among_errors - failed))
            if not lacking:
                break
            _LOG.warning("the results of batch %s lack %d answers; they are downloaded again", reference, lacking)
        return BatchResults((output, errors), lacking)

    async def _wait(self, reference: str) -> Batch:
        while True:
            with self._known(reference):
                batch = self._checked(self._patient.batches.retrieve(reference), Batch)
            # What was answered is paid for, whatever became of the rest.
            if batch.status in _DONE or (batch.output_file_id and batch.status not in _RUNS):
                return batch
            if batch.status == "failed":
                said = "; ".join(error.message or "" for error in (batch.errors.data or [])) if batch.errors else ""
                raise BatchFailedError(
                    f"the endpoint {self.address} refused batch {reference}: "
                    f"{self.reader.detail(said) or 'it does not say why'}. Correct instructions.model or the prompt "
                    "templates and run again; nothing of it was charged"
                )
            if batch.status not in _RUNS:
                said = self.reader.detail(str(batch.status))
                raise EndpointFailsError(
                    f"the endpoint {self.address} says that batch {reference} is {said!r}, "
                    "which may mean anything; it stays open, and the next run looks again. If it stays so, "
                    "`presel batches give-up` closes it"
                )
            counts = batch.request_counts
            done = f", {counts.completed + counts.failed:,} of {counts.total:,} requests" if counts else ""
            _LOG.info("batch %s: %s%s", reference, batch.status, done)
            await asyncio.sleep(self._poll_seconds)

    def _content(self, reference: str, name: str | None) -> str:
        if not name:
            return ""
        with self._known(reference):
            return self._patient.files.content(name).content.decode("utf-8", errors="replace")

    @contextmanager
    def _known(self, reference: str) -> Iterator[None]:
        """For what is asked of a batch that the service has taken: whatever it says, the batch stays open."""
        try:
            with self._explained():
                yield
        except EndpointRefusedError as error:
            if error.status == 404:
                raise BatchGoneError(
                    f"the endpoint {self.address} does not know batch {reference}, or no longer has its results "
                    "(HTTP 404). Look whether the key is of the project that sent it and whether purchase.base_url is "
                    "right, and run again"
                ) from None
            raise EndpointRefusedError(
                f"{error}. Batch {reference} stays open and is collected by the next run", status=error.status
            ) from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the client's errors into those of a purchase, without the key."""
        try:
            yield
        except openai.APIError as error:
            raise self._failure(error) from None
        except (ValueError, RecursionError) as error:  # a reply that says it is JSON and is not
            raise self._fails(self.reader.broken_reply(str(error))) from None

    def _failure(self, error: openai.APIError) -> EndpointRefusedError | EndpointFailsError:
        failure = self.reader.explain(error)
        return failure.error if isinstance(failure.error, EndpointRefusedError) else self._fails(failure)

    def _checked(self, reply: object, kind: type[_Reply]) -> _Reply:
        """A reply that has the form it should; a proxy's page comes as text."""
        if isinstance(reply, kind):
            return reply
        raise self._fails(self.reader.broken_reply(str(reply)))

    def _fails(self, failure: SendFailure) -> EndpointFailsError:
        return EndpointFailsError(
            f"the batch service fails ({failure.reason}: {failure.detail}); batches that are out are collected by the "
            "next run"
        )


def results_file(reference: str) -> Path:
    """Where the results of a request file are expected."""
    return Path(reference).with_suffix(".results.jsonl")


def _was_not_taken(error: openai.APIError) -> bool:
    """Whether an error of sending says for certain that nothing was begun."""
    match error:
        case openai.APIStatusError(status_code=status):
            # 408, 409, 425, 499: somebody in between, or an earlier send of the same.
            return 400 <= status < 500 and status not in (408, 409, 425, 499)
        case openai.APIConnectionError():
            return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "UnsupportedProtocol")
    return False


def _plain_address(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
