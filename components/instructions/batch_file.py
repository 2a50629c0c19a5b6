"""Batch files: requests one per line, and what came of them; OpenAI's format, which `vllm run-batch` reads too."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.instructions.endpoint import AttemptFailedError, Reply, ReplyReader, RequestRejectedError

_URL = "/v1/chat/completions"


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
    error: AttemptFailedError | RequestRejectedError | None


def request_line(request_id: str, body: dict[str, object]) -> bytes:
    """One line of a request file."""
    line = {"custom_id": request_id, "method": "POST", "url": _URL, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def keep_lines(file: Path, request_ids: Iterable[str]) -> None:
    """Take every other request out of a request file."""
    kept = set(request_ids)
    written = file.with_suffix(".part")
    with file.open("rb") as lines, written.open("wb") as target:
        target.writelines(line for line in lines if json.loads(line)["custom_id"] in kept)
    written.replace(file)


def read_results(texts: Sequence[str], reader: ReplyReader) -> Iterator[BatchLine]:
    """Read result files; a request that is in them twice counts once, the first time.

    Args:
        texts: of output and error files.
        reader: takes replies apart.

    Raises:
        EndpointRefusedError: the endpoint takes no requests at all.
    """
    seen: set[str] = set()
    for text in texts:
        for line in text.splitlines():
            if not line.strip():
                continue
            found = _read_line(line, reader)
            if found is not None and found.request_id not in seen:
                seen.add(found.request_id)
                yield found


def _read_line(line: str, reader: ReplyReader) -> BatchLine | None:
    try:
        value = json.loads(line)
    except ValueError:  # cut off in the middle: the request counts as one without a result
        return None
    match value:
        case {"custom_id": str(request_id), "response": {"status_code": 200, "body": body}}:
            try:
                return BatchLine(request_id, reader.read(body), None)
            except AttemptFailedError as error:
                return BatchLine(request_id, None, error)
        case {"custom_id": str(request_id), "response": {"status_code": int(status), "body": body}}:
            return BatchLine(request_id, None, _explained(status, body, reader))
        case {"custom_id": str(request_id), "error": {"code": code}}:
            reason = "expired" if code == "batch_expired" else "batch_error"
            return BatchLine(
                request_id, None, AttemptFailedError("refused", reason, reader.detail(str(value["error"])))
            )
    return None


def _explained(status: int, body: object, reader: ReplyReader) -> AttemptFailedError | RequestRejectedError:
    said, code = str(body), ""
    match body:
        case {"error": {"message": message, **rest}}:
            said, code = str(message), str(rest.get("code") or "")
    error = reader.explain_status(status, reader.detail(said), code)
    if isinstance(error, AttemptFailedError | RequestRejectedError):
        return error
    raise error
