"""The small project with a Prefect server of its own, in which `presel` is started, killed and starved."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.flows.small_project import make_project

PATIENCE = 240.0  # seconds
NAMESPACES = (["unshare", "-rm"], ["unshare", "-m"])  # in which a process may mount; the second needs root
FOREIGN = ("PREFECT_", "MLFLOW_", "DVC_", "HF_")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended: its exit code (negative: the signal), and what it printed."""

    code: int
    output: str


@dataclass
class PrefectServer:
    """A real server process on a port of its own."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = clean_environment() | {
            "PREFECT_HOME": str(self.home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: answers(f"{self.address}/health"), "the Prefect server never answered")

    def stop(self) -> None:
        """End it without a farewell, as a machine that goes down."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def address(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.port}/api"


@dataclass
class Laboratory:
    """Where the faults happen.

    Attributes:
        root: the project.
        server: of Prefect.
        zygote: forks the commands.
        can_mount: whether a small file system can be mounted for the commands to see.
    """

    root: Path
    server: PrefectServer
    zygote: subprocess.Popen[str]
    can_mount: bool
    _started: int = 0
    _logs: dict[int, Path] = field(default_factory=dict)

    def start(
        self, *arguments: str, kill: tuple[str, str] | None = None, environment: dict[str, str] | None = None
    ) -> int:
        """Start `presel ARGUMENTS`; `kill`: stage and moment at which it gets SIGKILL."""
        self._started += 1
        log = self.root / f"command-{self._started}.log"
        request = {
            "do": "start",
            "arguments": arguments,
            "log": str(log),
            "kill": kill,
            "environment": environment or {},
        }
        pid = int(self._ask(request)["pid"])
        self._logs[pid] = log
        return pid

    def wait(self, pid: int) -> Finished:
        """Wait for a command."""
        code = self._ask({"do": "wait", "pid": pid})["code"]
        return Finished(code, self.said(pid))

    def presel(
        self, *arguments: str, kill: tuple[str, str] | None = None, environment: dict[str, str] | None = None
    ) -> Finished:
        """Start a command and wait for it."""
        return self.wait(self.start(*arguments, kill=kill, environment=environment))

    def said(self, pid: int) -> str:
        """What a command has printed so far."""
        return self._logs[pid].read_text(encoding="utf-8") if self._logs[pid].exists() else ""

    def shell(self, *command: str) -> None:
        """Run a program where the commands run, which sees the file systems that are mounted for them."""
        done = self._ask({"do": "shell", "command": command})
        assert done["code"] == 0, done["output"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(request) + "\n")
        self.zygote.stdin.flush()
        line = self.zygote.stdout.readline()
        assert line, "the process that starts the commands has died"
        answer: dict[str, Any] = json.loads(line)
        return answer


def open_laboratory(folder: Path) -> Laboratory:
    """Make the project, start the server, import everything."""
    root = make_project(folder / "project")
    home = folder / "prefect"
    home.mkdir()
    server = PrefectServer(home, free_port())
    server.start()
    namespace = next((one for one in NAMESPACES if _works(one)), [])
    environment = clean_environment() | {
        "PYTHONPATH": f"{root}:{Path(__file__).parents[2]}",
        "PREFECT_API_URL": server.address,
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "zygote.log").open("wb") as log:
        zygote = subprocess.Popen(
            [*namespace, sys.executable, "-c", "import flows.environment as e; from pathlib import Path; "
             "e.configure_environment(Path.cwd()); from tests.faults.zygote import main; main()"],
            cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    return Laboratory(root, server, zygote, can_mount=bool(namespace))


def close_laboratory(laboratory: Laboratory) -> None:
    """End what was started."""
    assert laboratory.zygote.stdin is not None
    assert laboratory.zygote.stdout is not None
    laboratory.zygote.stdin.close()
    laboratory.zygote.wait(timeout=PATIENCE)
    laboratory.zygote.stdout.close()
    laboratory.server.stop()


def wait_until(reached: Callable[[], object], otherwise: str, *, seconds: float = PATIENCE) -> None:
    """Wait for a moment."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(address, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """The environment without this session's settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}


def _works(namespace: Sequence[str]) -> bool:
    mount = "mount -t tmpfs -o size=64k tmpfs /mnt"
    if shutil.which(namespace[0]) is None:
        return False
    return subprocess.run([*namespace, "sh", "-c", mount], capture_output=True, check=False).returncode == 0
