"""An OpenAI-compatible server on loopback that writes instructions, counts what it charges, and fails on demand.

    python -m demo.instruction_server --annotations data/demo/annotations.json --images data/demo/images

It answers from annotations, recognising an image by its bytes, so that buying instructions can be tried, and tested,
end to end without an account. Chat completions, files and batches are as far OpenAI's as the providers use them.
"""

import argparse
import base64
import hashlib
import json
import random
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demo.instruction_batches import BatchService
from demo.instruction_faults import FAULTS, Fault, FaultyResponse, spoil_completion

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Charge:
    """Something the server charges for.

    Attributes:
        key: Idempotency-Key of the send; custom_id of a batch line.
        body: sha256 of the request's body.
        prompt_tokens: sent.
        completion_tokens: received.
        fault: what went wrong with the reply; empty: nothing.
    """

    key: str
    body: str
    prompt_tokens: int
    completion_tokens: int
    fault: str


@dataclass
class Accounts:
    """All that was charged, and every request that came, charged or not."""

    charges: list[Charge] = field(default_factory=list)
    received: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    replies: dict[str, Json] = field(default_factory=dict)


class InstructionServer:
    """The server's behaviour.

    Args:
        answers: sha256 of an image -> its conversation; other images get a made-up one.
        faults: which faults happen.
        fault_rate: share of the requests that one of them happens to.
        seed: of the choice.
        key: that clients must show; empty: anyone may ask.
        honour_keys: a repeated Idempotency-Key gets the first reply again and is not charged again.
        seconds: that an answer takes.
    """

    def __init__(
        self,
        answers: dict[str, Json],
        *,
        faults: tuple[Fault, ...] = (),
        fault_rate: float = 0.0,
        seed: int = 0,
        key: str = "",
        honour_keys: bool = True,
        seconds: float = 0.0,
    ) -> None:
        self._answers = answers
        self._faults = faults
        self._rate = fault_rate
        self._random = random.Random(seed)  # noqa: S311 -- chooses faults, guards nothing
        self._key = key
        self._honour_keys = honour_keys
        self._seconds = seconds
        self.accounts = Accounts()
        self.batches = BatchService(self.complete_line)

    def application(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/accounts", self.report),
                *self.batches.routes(),
            ]
        )

    async def chat(self, request: Request) -> Response:
        """One chat completion."""
        self.accounts.received += 1
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._key and shown != self._key:
            # As some servers do, and none should: the wrong key is repeated.
            return _error(401, f"Incorrect API key provided: {shown}", code="invalid_api_key")
        raw = await request.body()
        fault = self._draw()
        send_key = request.headers.get("idempotency-key", "")
        if fault in ("rate_limited", "rate_limited_with_wait", "server_error", "hang"):
            return FaultyResponse.without_answer(fault)
        completion = self._charged(json.loads(raw), send_key, fault)
        if fault == "duplicate":  # as if something in between had delivered the request twice
            completion = self._charged(json.loads(raw), send_key, fault)
        return FaultyResponse.of(completion, fault, seconds=self._seconds)

    def complete_line(self, body: Json, name: str) -> Json:
        """One line of a batch."""
        self.accounts.received += 1
        return self._charged(body, name, self._draw())

    async def report(self, _: Request) -> Response:
        """What was charged so far."""
        return JSONResponse(
            {
                "charges": [asdict(charge) for charge in self.accounts.charges],
                "received": self.accounts.received,
                "faults": self.accounts.faults,
            }
        )

    def _draw(self) -> Fault | None:
        if not self._faults or self._random.random() >= self._rate:
            return None
        fault = self._random.choice(self._faults)
        self.accounts.faults[fault] = self.accounts.faults.get(fault, 0) + 1
        return fault

    def _charged(self, body: Json, key: str, fault: Fault | None) -> Json:
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        known = self.accounts.replies.get(f"{key} {digest}")
        if known is not None and self._honour_keys:
            return known
        completion = spoil_completion(self._completion(body), fault)
        usage = completion["usage"]
        assert isinstance(usage, dict)
        self.accounts.charges.append(
            Charge(key, digest, usage["prompt_tokens"], usage["completion_tokens"], fault or "")
        )
        self.accounts.replies[f"{key} {digest}"] = completion
        return completion

    def _completion(self, body: Json) -> Json:
        messages = body["messages"]
        assert isinstance(messages, list)
        text = json.dumps(self._answers.get(image := _image_sha(messages)) or _made_up(image))
        said = sum(len(part) for part in _texts(messages))
        return {
            "id": "chatcmpl-demo",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": said // 4 + 64,
                "completion_tokens": len(text) // 4 + 1,
                "total_tokens": said // 4 + 65 + len(text) // 4,
            },
        }


def read_answers(annotations: Path, images: Path) -> dict[str, Json]:
    """Conversations of a LLaVA JSON file by the sha256 of their image."""
    answers: dict[str, Json] = {}
    for record in json.loads(annotations.read_text(encoding="utf-8")):
        file = images / record["image"]
        said = [message["value"].replace("<image>", "").strip() for message in record["conversations"]]
        if file.is_file() and said and not len(said) % 2:
            turns = [{"question": q, "response": r} for q, r in zip(said[::2], said[1::2], strict=True)]
            answers[hashlib.sha256(file.read_bytes()).hexdigest()] = {"turns": turns}
    return answers


def main(arguments: list[str]) -> None:
    """Serve until interrupted; the first line on standard output is the address."""
    parser = argparse.ArgumentParser(prog="python -m demo.instruction_server", description=__doc__)
    parser.add_argument("--annotations", type=Path, help="LLaVA JSON to answer from; without it answers are made up")
    parser.add_argument("--images", type=Path, help="folder that image paths in it are relative to")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any that is free")
    parser.add_argument("--key", default="", help="that clients must show; default: none")
    parser.add_argument("--faults", default="", help=f"with commas between them, of {', '.join(FAULTS)}; or all")
    parser.add_argument("--fault-rate", type=float, default=0.2, help="share of the requests that get one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ignore-keys", action="store_true", help="charge a repeated Idempotency-Key again")
    parser.add_argument("--seconds", type=float, default=0.0, help="that an answer takes")
    given = parser.parse_args(arguments)
    names = FAULTS if given.faults == "all" else tuple(name for name in given.faults.split(",") if name)
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        parser.error(f"no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    server = InstructionServer(
        read_answers(given.annotations, given.images) if given.annotations else {},
        faults=names,
        fault_rate=given.fault_rate,
        seed=given.seed,
        key=given.key,
        honour_keys=not given.ignore_keys,
        seconds=given.seconds,
    )
    listener = socket.create_server(("127.0.0.1", given.port))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/v1\n")
    sys.stdout.flush()
    config = uvicorn.Config(server.application(), log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def _image_sha(messages: list[Json]) -> str:
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "image_url":
                return hashlib.sha256(base64.b64decode(part["image_url"]["url"].partition(",")[2])).hexdigest()
    return ""


def _texts(messages: list[Json]) -> list[str]:
    texts: list[str] = []
    for message in messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        texts += [str(part["text"]) for part in parts if part["type"] == "text"]
    return texts


def _made_up(image: str) -> Json:
    return {"turns": [{"question": "Which image is this?", "response": f"This is image {image[:12]}."}]}


def _error(status: int, message: str, *, code: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "error", "param": None, "code": code}}, status)


if __name__ == "__main__":
    main(sys.argv[1:])
