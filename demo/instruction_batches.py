"""The part of the demo server that takes batches: files in, files out, as OpenAI's batch service does it."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

Json = dict[str, object]
_NO_BEHAVIOUR = frozenset({"complete", "files", "batches"})


@dataclass
class BatchService:
    """Files and batches, in memory.

    Attributes:
        complete: answers one line: body, and a name of the line -> chat completion.
        files: id -> content.
        batches: id -> what the endpoint says of it.
        answered_share: of a batch that comes back when it is collected; the rest expires.
        failed_lines: lines of the next batches that end with HTTP 500, taken off as they do.
        miscounted_lines: lines of the next batch that were not run, are counted as completed and stand, with status 0,
            in the error file.
        repeat_lines: results contain every line twice.
        looks_until_done: how often a batch is looked at before it is done.
        status: HTTP status, when not 200, of looks at a batch.
        code: of the error that goes with it.
        create_status: HTTP status, when not 200, of a batch that is begun all the same.
        hidden: batches are not listed.
        line_status: HTTP status, when not 200, of each line from `line_from` on, with `code`.
        line_from: how many lines of a batch are answered before.
        cut: share of the results that is given out; the rest of the file is missing.
        ends: how a batch ends; `completed` becomes `expired` where not all is answered, and with `cancelled` the
            results do not name the rest.
        add: put into the first text of every result: characters that only newlines should be taken for.
    """

    complete: Callable[[Json, str], Json]
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, Json] = field(default_factory=dict)
    answered_share: float = 1.0
    failed_lines: int = 0
    miscounted_lines: int = 0
    repeat_lines: bool = False
    looks_until_done: int = 1
    status: int = 200
    code: str | None = None
    create_status: int = 200
    hidden: bool = False
    line_status: int = 200
    line_from: int = 0
    cut: float = 1.0
    ends: str = "completed"
    add: str = ""

    def routes(self) -> list[Route]:
        """Files and batches."""
        return [
            Route("/v1/files", self.upload, methods=["POST"]),
            Route("/v1/files/{file_id}/content", self.content),
            Route("/v1/batches", self.create, methods=["POST"]),
            Route("/v1/batches", self.list_all),
            Route("/v1/batches/{batch_id}", self.look),
            Route("/behaviour", self.behave, methods=["POST"]),
        ]

    async def behave(self, request: Request) -> Response:
        """Change how batches end: any of the attributes above."""
        for name, value in (await request.json()).items():
            if name in _NO_BEHAVIOUR or name not in self.__dataclass_fields__:
                return JSONResponse({"error": {"message": f"no behaviour {name!r}"}}, 400)
            setattr(self, name, value)
        return JSONResponse({})

    async def upload(self, request: Request) -> Response:
        """Take a file."""
        # A form with files is a MIME message without its first header.
        header = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        form = message_from_bytes(header + await request.body())
        uploaded = next(part for part in form.walk() if part.get_filename())
        content = uploaded.get_payload(decode=True)
        assert isinstance(content, bytes)
        text = content.decode()
        file_id = self._store(text)
        about = {"id": file_id, "object": "file", "bytes": len(text), "created_at": 0, "filename": "requests.jsonl"}
        return JSONResponse({**about, "purpose": "batch", "status": "processed"})

    async def content(self, request: Request) -> Response:
        """Give a file."""
        text = self.files[request.path_params["file_id"]]
        return PlainTextResponse(text[: round(len(text) * self.cut)])

    async def create(self, request: Request) -> Response:
        """Begin a batch."""
        asked = await request.json()
        batch_id = f"batch_{uuid.uuid4().hex[:12]}"
        self.batches[batch_id] = {
            "id": batch_id,
            "object": "batch",
            "endpoint": asked["endpoint"],
            "input_file_id": asked["input_file_id"],
            "completion_window": asked["completion_window"],
            "metadata": asked.get("metadata") or {},
            "created_at": 0,
            "status": "in_progress",
            "output_file_id": None,
            "error_file_id": None,
            "looks": 0,
        }
        if self.create_status != 200:
            return self._refused(self.create_status)
        return JSONResponse(self.batches[batch_id])

    async def list_all(self, _: Request) -> Response:
        """All batches, the newest first."""
        found = [] if self.hidden else list(reversed(self.batches.values()))
        return JSONResponse({"object": "list", "data": found, "has_more": False})

    async def look(self, request: Request) -> Response:
        """One batch; it is done when it was looked at often enough."""
        batch = self.batches.get(request.path_params["batch_id"])
        if self.status != 200:
            return self._refused(self.status)
        if batch is None:
            return JSONResponse({"error": {"message": "No such batch"}}, 404)
        batch["looks"] = int(str(batch["looks"])) + 1
        if batch["status"] == "in_progress" and int(str(batch["looks"])) > self.looks_until_done:
            self._finish(batch)
        return JSONResponse(batch)

    def _finish(self, batch: Json) -> None:
        if self.ends == "failed":
            batch |= {"status": "failed", "errors": {"object": "list", "data": [{"message": "made to fail"}]}}
            return
        lines = [json.loads(line) for line in self.files[str(batch["input_file_id"])].split("\n") if line]
        answered = lines[: round(len(lines) * self.answered_share)]
        good: list[str] = []
        bad: list[str] = []
        miscounted: list[str] = []
        for number, line in enumerate(answered):
            if self.line_status != 200 and number >= self.line_from:
                said: Json = {"error": {"message": "made to fail", "code": self.code}}
                bad.append(_line(line["custom_id"], self.line_status, said))
            elif self.failed_lines:
                self.failed_lines -= 1
                bad.append(_line(line["custom_id"], 500, {"error": {"message": "made to fail", "code": None}}))
            elif self.miscounted_lines > len(miscounted):
                miscounted.append(_line(line["custom_id"], 0, {}))
            else:
                good.append(
                    _line(line["custom_id"], 200, self.complete(line["body"], f"{batch['id']} {line['custom_id']}"))
                )
        batch["request_counts"] = {"total": len(lines), "completed": len(good) + len(miscounted), "failed": len(bad)}
        bad, self.miscounted_lines = bad + miscounted, 0
        # As it stands, not as an escape.
        good = [line.replace("This is", f"This{self.add} is") for line in good]
        good = good * 2 if self.repeat_lines else good
        expired = [
            json.dumps({"custom_id": line["custom_id"], "response": None, "error": {"code": "batch_expired"}})
            for line in lines[len(answered) :]
            if self.ends == "completed"
        ]
        batch["status"] = "expired" if expired else self.ends
        batch["output_file_id"] = self._store("\n".join(good)) if good else None
        batch["error_file_id"] = self._store("\n".join(bad + expired)) if bad + expired else None

    def _refused(self, status: int) -> Response:
        return JSONResponse({"error": {"message": "made to fail", "code": self.code}}, status)

    def _store(self, text: str) -> str:
        file_id = f"file-{uuid.uuid4().hex[:12]}"
        self.files[file_id] = text
        return file_id


def _line(custom_id: str, status: int, body: Json) -> str:
    return json.dumps(
        {"custom_id": custom_id, "response": {"status_code": status, "request_id": "", "body": body}, "error": None}
    )
