"""The demo's instruction server as a process of its own: it lives on when what buys from it is killed."""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.imports_of import ROOT


@dataclass(frozen=True)
class RunningServer:
    """A server that answers on loopback.

    Attributes:
        url: for `purchase.base_url`.
    """

    url: str

    @property
    def accounts(self) -> Any:
        """What it charged so far, as `demo.instruction_server.Accounts`."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/accounts") as reply:
            return json.load(reply)

    @property
    def charges_per_send(self) -> Counter[tuple[str, str]]:
        """How often each body was charged for each key."""
        return Counter((charge["key"], charge["body"]) for charge in self.accounts["charges"])

    def behave(self, **changes: object) -> None:
        """Change how batches end."""
        body = json.dumps(changes).encode()
        request = urllib.request.Request(self.url.removesuffix("/v1") + "/behaviour", data=body, method="POST")
        with urllib.request.urlopen(request):
            pass


@contextmanager
def running_instruction_server(*arguments: str) -> Iterator[RunningServer]:
    """Start `python -m demo.instruction_server` and end it."""
    command = [sys.executable, "-m", "demo.instruction_server", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield RunningServer(process.stdout.readline().strip())
        finally:
            process.kill()
