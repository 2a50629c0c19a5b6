"""What can go wrong at an endpoint, made to happen."""

import asyncio
import copy
import json
from typing import Literal, Self, get_args

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Fault = Literal[
    "rate_limited",  # 429
    "rate_limited_with_wait",  # 429 with Retry-After
    "server_error",  # 500
    "slow",  # an answer after half a second
    "hang",  # no answer at all
    "drop",  # the connection breaks in the middle of the answer, which is charged
    "invalid_body",  # a reply that is not JSON, which is charged
    "invalid_json",  # an answer that is not JSON
    "wrong_schema",  # an answer that is JSON of another form
    "refusal",  # the model does not want to
    "duplicate",  # the request is delivered twice
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
_SLOW_SECONDS = 0.5
_HANG_SECONDS = 3600.0
_STATUS = {"rate_limited": 429, "rate_limited_with_wait": 429, "server_error": 500}
_RETRY_AFTER_SECONDS = "0.2"


def spoil_completion(completion: dict[str, object], fault: Fault | None) -> dict[str, object]:
    """Put a fault into what the model says."""
    said = {
        "invalid_json": "Sure! Here is a conversation: question one is",
        "wrong_schema": json.dumps({"conversation": [{"q": "What is this?", "a": "An image."}]}),
        "refusal": "I'm sorry, but I can't help with that.",
    }.get(fault or "")
    if said is None:
        return completion
    spoilt = copy.deepcopy(completion)
    spoilt["choices"][0]["message"]["content"] = said  # type: ignore[index]
    return spoilt


class FaultyResponse(Response):
    """A response that may be late, broken or never come."""

    def __init__(self, content: bytes, status: int, *, fault: Fault | None, seconds: float) -> None:
        headers = {"retry-after": _RETRY_AFTER_SECONDS} if fault == "rate_limited_with_wait" else {}
        super().__init__(content, status, headers, media_type="application/json")
        self._fault = fault
        self._seconds = seconds

    @classmethod
    def of(cls, completion: dict[str, object], fault: Fault | None, *, seconds: float) -> Self:
        """An answer."""
        body = b"<html>502 from a proxy</html>" if fault == "invalid_body" else json.dumps(completion).encode()
        return cls(body, 200, fault=fault, seconds=seconds + (_SLOW_SECONDS if fault == "slow" else 0.0))

    @classmethod
    def without_answer(cls, fault: Fault) -> Self:
        """A status that says no, or nothing at all."""
        error = {"error": {"message": f"made to fail: {fault}", "type": "error", "param": None, "code": None}}
        seconds = _HANG_SECONDS if fault == "hang" else 0.0
        return cls(json.dumps(error).encode(), _STATUS.get(fault, 500), fault=fault, seconds=seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or what is left of it."""
        if self._seconds:
            gone = asyncio.ensure_future(_until_disconnected(receive))
            done, _ = await asyncio.wait({gone}, timeout=self._seconds)
            gone.cancel()
            if done:
                return
        if self._fault != "drop":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # Less than the header says, and then nothing: the server closes the connection.
        await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": False})


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
