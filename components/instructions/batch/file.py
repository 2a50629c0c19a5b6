"""Batch files: requests one per line, and what came of them; OpenAI's format, which `vllm run-batch` reads too."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.instructions.endpoint.endpoint import (
    AttemptFailedError,
    EndpointRefusedError,
    Reply,
    ReplyReader,
    RequestRejectedError,
)

_URL = "/v1/chat/completions"
# Of requests that were never run. Any other error without a response may have come after the model answered.
_NOT_RUN = frozenset({"batch_expired", "batch_cancelled"})


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What a result file says of one request.

    Attributes:
        request_id: the request.
        reply: of the model; None without one.
        error: why there is none; None with one.
    """

    request_id: str
    reply: Reply | None
    error: AttemptFailedError | RequestRejectedError | EndpointRefusedError | None


def request_line(request_id: str, body: dict[str, object]) -> bytes:
    """One line of a request file."""
    line = {"custom_id": request_id, "method": "POST", "url": _URL, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def keep_lines(file: Path, request_ids: Iterable[str]) -> None:
    """Take every other request out of a request file."""
    kept = set(request_ids)
    written = file.with_name(f"{file.name}.kept")
    with file.open("rb") as lines, written.open("wb") as target:
        target.writelines(line for line in lines if json.loads(line)["custom_id"] in kept)
    written.replace(file)


def read_results(texts: Sequence[str], reader: ReplyReader) -> Iterator[BatchLine]:
    """Read result files; a request that is in them twice counts once, the first time.

    Lines that cannot be read are left out: their requests count as those without a result.

    Args:
        texts: of output and error files.
        reader: takes replies apart.
    """
    seen: set[str] = set()
    for text in texts:
        for value in _values(text):
            found = _read_line(value, reader)
            if found is not None and found.request_id not in seen:
                seen.add(found.request_id)
                yield found


def listed_ids(text: str) -> set[str]:
    """The requests that a result file has a whole line for."""
    found: set[str] = set()
    for value in _values(text):
        match value:
            case {"custom_id": str(request_id), "response": {"status_code": int()}}:
                found.add(request_id)
            case {"custom_id": str(request_id), "error": {}}:
                found.add(request_id)
    return found


def _values(text: str) -> Iterator[object]:
    # At newlines only: JSON texts may hold the other characters that `splitlines` takes for ends of lines.
    for line in text.split("\n"):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):  # empty, cut off in the middle, or not JSON at all
            continue


def _read_line(value: object, reader: ReplyReader) -> BatchLine | None:
    match value:
        case {"custom_id": str(request_id), "response": {"status_code": 200, "body": body}}:
            try:
                return BatchLine(request_id, reader.read(body), None)
            except AttemptFailedError as error:
                return BatchLine(request_id, None, error)
        case {"custom_id": str(request_id), "response": {"status_code": int(status), **response}}:
            return BatchLine(request_id, None, _explained(status, response.get("body"), reader))
        case {"custom_id": str(request_id), "error": {**error}}:
            detail = reader.detail(str(error))
            if error.get("code") in _NOT_RUN:
                return BatchLine(request_id, None, AttemptFailedError("refused", "expired", detail))
            return BatchLine(request_id, None, AttemptFailedError("unknown", "batch_error", detail))
    return None


def _explained(
    status: int, body: object, reader: ReplyReader
) -> AttemptFailedError | RequestRejectedError | EndpointRefusedError:
    said, code = str(body), ""
    match body:
        case {"error": {"message": message, **rest}}:
            said, code = str(message), str(rest.get("code") or "")
    error = reader.explain_status(status, reader.detail(said), code)
    assert isinstance(error, AttemptFailedError | RequestRejectedError | EndpointRefusedError)
    return error
