"""The small project as it is deployed: a Prefect server, a worker, and a person at a browser, each a real process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from tasks.stages import declarations_of

T = TypeVar("T")
PATIENCE = 400.0  # seconds
_FOREIGN = ("PREFECT_", "MLFLOW_", "DVC_", "HF_HOME", "PRESEL_")


@dataclass
class Deployed:
    """A project, its server and its worker.

    Attributes:
        root: the worker's checkout.
        shared: what outlives the checkout: results, the DVC remote, MLflow, the ledger, the server's database.
        port: of the server.
        variables: further environment of the worker.
    """

    root: Path
    shared: Path
    port: int
    variables: dict[str, str] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return own | {
            "PYTHONPATH": str(self.root),
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_LOCAL_STORAGE_PATH": str(self.shared / "results"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.shared / 'mlflow.db'}",
            "DO_NOT_TRACK": "1",
            **self.variables,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def presel(self, *arguments: str) -> str:
        """A command of the project."""
        command = [sys.executable, "-m", "flows.command_line.main", *arguments]
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Prefect's own command line."""
        command = [sys.executable, "-m", "prefect", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def start_server(self) -> None:
        home = self.shared / "server"
        extra = {"PREFECT_HOME": str(home), "PREFECT_UI_API_URL": f"{self.url}/api"}
        environment = {key: value for key, value in self.environment.items() if key != "PREFECT_API_URL"}
        command = ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._start("server", [sys.executable, "-m", "prefect", *command], environment | extra)
        wait_for(self._is_healthy, "the server answers")

    def start_worker(self) -> None:
        command = [sys.executable, "-m", "flows.command_line.main", "worker", "--name", "tested"]
        self._start("worker", command, self.environment)

    def stop(self, *names: str) -> None:
        """End processes and all that they started."""
        for name in names or tuple(self._processes):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def running(self) -> list[int]:
        """Processes of flow runs that the worker has started."""
        return [process.pid for process in psutil.Process(self._processes["worker"].pid).children(recursive=True)]

    def log(self, name: str) -> str:
        return (self.shared / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        settings = {PREFECT_API_URL: f"{self.url}/api", PREFECT_HOME: self.shared / "client"}
        with temporary_settings(settings), get_client(sync_client=True) as client:
            yield client

    def create_run(self, deployment: str, parameters: Mapping[str, Any] | None = None) -> UUID:
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=dict(parameters or {})).id

    def run(self, run_id: UUID) -> FlowRun:
        with self.client() as client:
            return client.read_flow_run(run_id)

    def runs_of(self, flow: str) -> list[FlowRun]:
        """All runs of a flow; a schedule creates others."""
        with self.client() as client:
            return client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])))

    def wait_until(self, run_id: UUID, *states: str) -> FlowRun:
        """The run, once it is in one of these states and its process has ended."""

        def reached() -> FlowRun | None:
            run = self.run(run_id)
            assert self._processes["worker"].poll() is None, self.log("worker")
            if run.state_name in states:
                return run
            ended = run.state is not None and run.state.is_final()
            assert not ended, f"{run.state_name}: {run.state and run.state.message}\n{self.log('worker')[-6000:]}"
            return None

        return wait_for(reached, f"flow run {run_id} is {' or '.join(states)}", log=lambda: self.log("worker")[-6000:])

    def stages(self, run_id: UUID) -> tuple[list[str], list[str]]:
        """Stages that were computed, once for every time, and those that were found, over all attempts of a run."""
        only = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        with self.client() as client:
            runs = client.read_task_runs(flow_run_filter=only, limit=200)
        stages = [
            run for run in runs if run.name.partition("@")[0] in {stage.name for stage in declarations_of("presel")}
        ]
        computed = sorted(run.name for run in stages if run.state_name == "Completed")
        return computed, sorted(run.name for run in stages if run.state_name == "Cached")

    def _is_healthy(self) -> bool:
        assert self._processes["server"].poll() is None, self.log("server")
        try:
            with urllib.request.urlopen(f"{self.url}/api/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.shared / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )


def wait_for(reached: Callable[[], T | None], what: str, *, log: Callable[[], str] = str) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = reached()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: it did not come to that\n{log()}"
        time.sleep(0.3)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def deployed(root: Path, shared: Path, variables: Mapping[str, str] | None = None) -> Iterator[Deployed]:
    """A server that knows the deployments of the project, and a worker that serves them."""
    shared.mkdir(parents=True, exist_ok=True)
    project = Deployed(root, shared, free_port(), dict(variables or {}))
    try:
        project.start_server()
        project.presel("deploy")
        project.start_worker()
        yield project
    finally:
        project.stop()


def chromium() -> str:
    """The system's Chromium; a test that needs it is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    return found


@contextmanager
def browser_page() -> Iterator[Any]:
    """A page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers rarely allow Chromium's own sandbox, and the only page it opens is the test's.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()
