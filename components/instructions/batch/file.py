"""Batch files: requests one per line, and what came of them; OpenAI's format, which `vllm run-batch` reads too."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.instructions.endpoint.reply_reader import ReplyReader
from components.instructions.reply import Reply, SendFailure

_URL = "/v1/chat/completions"
# Of requests that were never run. Any other error without a response may have come after the model answered.
_NOT_RUN = frozenset({"batch_expired", "batch_cancelled"})


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a result file.

    Attributes:
        request_id: the request.
        status: HTTP status of the response, 0 where it was not run; None: there is none.
        body: of the response, or of what is said in its place.
        error: what is said beside the response; None: nothing.
    """

    request_id: str
    status: int | None
    body: object
    error: object


def request_line(request_id: str, body: dict[str, object]) -> bytes:
    """One line of a request file."""
    line = {"custom_id": request_id, "method": "POST", "url": _URL, "body": body}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def write_request_file(file: Path, lines: Iterable[bytes]) -> None:
    """Write a request file; it is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Not named after the process: two containers that share the folder may both be process 1.
    part = file.with_name(f"writing-{uuid.uuid4().hex}.part")
    try:
        with part.open("wb") as target:
            target.writelines(lines)
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read_results(texts: Sequence[str], reader: ReplyReader) -> dict[str, Reply | SendFailure]:
    """Read result files; a request that is in them twice counts once, the first time.

    Lines that cannot be read are left out: their requests count as those without a result.

    Args:
        texts: of output and error files.
        reader: takes replies apart.

    Returns:
        Request id -> what came of it.
    """
    found: dict[str, Reply | SendFailure] = {}
    for text in texts:
        for value in _values(text):
            read = _read_line(value, reader)
            if read is not None:
                found.setdefault(*read)
    return found


def listed_ids(text: str, *, run_alone: bool = False) -> set[str]:
    """The requests that a result file has a whole line for.

    Args:
        text: of the file.
        run_alone: without those whose line says that they were never run.
    """
    found: set[str] = set()
    for value in _values(text):
        line = _line(value)
        if line is not None and not (run_alone and _code(line.error) in _NOT_RUN):
            found.add(line.request_id)
    return found


def _line(value: object) -> _Line | None:
    """Take a line apart; None when it says of no request what came of it."""
    match value:
        case {"custom_id": str(request_id), **rest}:
            response, error = rest.get("response"), rest.get("error")
        case _:
            return None
    if isinstance(error, Mapping) and not any(error.values()):
        error = None
    if not isinstance(response, Mapping):
        return _Line(request_id, None, None, error) if error else None
    body = response if "choices" in response else response.get("body")
    status = _status(response.get("status_code", 200 if body else None))
    return None if status is None and not error else _Line(request_id, status, body, error)


def _status(code: object) -> int | None:
    """The HTTP status, which some services write as a text; None when it is none."""
    text = str(code).removesuffix(".0")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else None


def _values(text: str) -> Iterator[object]:
    # At newlines only: JSON texts may hold the other characters that `splitlines` takes for ends of lines.
    for line in text.split("\n"):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):  # empty, cut off in the middle, or not JSON at all
            continue


def _read_line(value: object, reader: ReplyReader) -> tuple[str, Reply | SendFailure] | None:
    line = _line(value)
    if line is None:
        return None
    if _code(line.error) in _NOT_RUN:
        return line.request_id, SendFailure("not_run", "expired", reader.detail(str(line.error)))
    if line.status is not None and line.status != 200:
        return line.request_id, _explained(line.status, line.body or line.error, reader)
    if line.error:  # beside an answer too: it is not known to be one then
        return line.request_id, SendFailure("unknown", "batch_error", reader.detail(str(line.error)))
    return line.request_id, reader.read(line.body)


def _code(error: object) -> str:
    """What kind of error it is said to be, "" where it is not said; services write anything there."""
    return str(error.get("code") or "") if isinstance(error, Mapping) else ""


def _explained(status: int, body: object, reader: ReplyReader) -> SendFailure:
    """What a status means; what is said with it stands in the body, in its error, or beside the response."""
    error = body.get("error") if isinstance(body, Mapping) and body.get("error") else body
    said = error.get("message") if isinstance(error, Mapping) else None
    return reader.explain_status(status, reader.detail(str(said or error)), _code(error))
