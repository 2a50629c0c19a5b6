"""The two servers live and end together."""

import subprocess
import sys

import pytest

from flows import serve_ui as module
from flows.serve_ui import ServerEndedError, serve_ui

SLEEPS = "import time; time.sleep(60)"


@pytest.mark.parametrize("ends", ["prefect", "mlflow"])
def test_whichever_server_ends_ends_the_other(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], **_: object) -> subprocess.Popen[bytes]:
        program = "raise SystemExit(7)" if command[2] == ends else SLEEPS
        started.append(popen([sys.executable, "-c", program]))
        return started[-1]

    popen = subprocess.Popen
    monkeypatch.setattr(module.subprocess, "Popen", start)  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "end_on_termination", lambda: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    with pytest.raises(ServerEndedError, match=r"(?i)the " + ends + " server ended with code 7"):
        serve_ui(prefect_port=1, mlflow_port=2)
    assert len(started) == 2
    assert all(server.returncode is not None for server in started)
