"""The `presel` command in this process, and as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO
from unittest.mock import patch

from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.command_line.main import main
from tests.project_environment import prefect_results_in, project_environment

FOREIGN = ("PREFECT_", "MLFLOW_", "DVC_", "HF_")
COLUMNS = "160"
# What belongs to a process of the command's own: its signals, its log handlers, servers that others left behind.
OF_THE_PROCESS = (
    "flows.embedded_server.end_on_signals",
    "flows.embedded_server.end_orphaned_servers",
    "flows.command_line.console.hide_tracebacks",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it said."""
        return self.stdout + self.stderr


def presel(root: Path, *arguments: str, **servers: str) -> Ended:
    """Call the entry point in this process, which has imported everything already; most tests can.

    Args:
        root: the working directory.
        arguments: of the command.
        servers: MLFLOW_TRACKING_URI or PREFECT_API_URL, where the command is to use others than the project's.
    """
    stdout, stderr, code = StringIO(), StringIO(), 0
    called = patch.object(sys, "argv", ["presel", *arguments])
    with _as_if_started(root, servers), redirect_stdout(stdout), redirect_stderr(stderr), called:
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ended(code, stdout.getvalue(), stderr.getvalue())


@contextmanager
def _as_if_started(root: Path, servers: dict[str, str]) -> Iterator[None]:
    with project_environment(root), prefect_results_in(root):
        os.environ.update({"COLUMNS": COLUMNS, **servers})
        named = servers.get("PREFECT_API_URL")
        with ExitStack() as stack:
            stack.enter_context(temporary_settings({PREFECT_API_URL: named} if named else {}))
            stack.enter_context(patch("flows.environment.CODE_FOLDER", root.resolve()))
            for name in OF_THE_PROCESS:
                stack.enter_context(patch(name))
            for name, module in tuple(sys.modules.items()):  # what notes at its import where the command was called
                if name.startswith("flows.command_line.") and hasattr(module, "CALLED_FROM"):
                    stack.enter_context(patch.object(module, "CALLED_FROM", root))
            yield


def start_presel(
    root: Path,
    *arguments: str,
    code: Path | None = None,
    variables: Mapping[str, str] | None = None,
    stdout: IO[str] | None = None,
) -> Ended:
    """Start the command as a user's shell does, with nothing of this session's settings.

    Args:
        root: the working directory.
        arguments: of the command.
        code: folder of the code that runs; None: the project's own.
        variables: of the environment.
        stdout: where its output goes; None: it is kept.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    environment |= {"PYTHONPATH": str(code or root), "COLUMNS": COLUMNS, **(variables or {})}
    command = [sys.executable, "-P", "-m", "flows.command_line.main", *arguments]  # -P: as an installed command
    done = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout or "", done.stderr)
