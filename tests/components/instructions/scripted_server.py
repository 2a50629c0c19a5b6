"""An endpoint on loopback whose every reply a test decides; nothing is remembered for an Idempotency-Key."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class ScriptedReply:
    """Status, body as it goes over the wire, headers, and seconds between two of its bytes."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0


@dataclass
class ScriptedServer:
    """What the server was asked, in order."""

    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    send_keys: list[str] = field(default_factory=list)


def completion(text: str, *, model: str = "test-model", usage: object = None) -> bytes:
    """A chat completion."""
    counted = {"prompt_tokens": 100, "completion_tokens": 20} if usage is None else usage
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "model": model, "usage": counted}).encode()


def conversation(response: str = "A small square.") -> str:
    """The text of an answer that breaks no rule."""
    return json.dumps({"turns": [{"question": "What is to be seen here?", "response": response}]})


@contextmanager
def scripted_server(script: Callable[[int, Any], ScriptedReply]) -> Iterator[ScriptedServer]:
    """Serve `script(number of the request from 0, its body)`."""
    lock = threading.Lock()
    served = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(served.bodies)
                served.bodies.append(body)
                served.keys.append(self.headers.get("Authorization", ""))
                served.send_keys.append(self.headers.get("Idempotency-Key", ""))
            reply = script(number, body)
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # the client need not wait for the end
                if not reply.drip_seconds:
                    self.wfile.write(reply.body)
                    return
                for byte in reply.body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_seconds)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
