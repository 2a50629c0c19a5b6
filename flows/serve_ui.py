"""The two web interfaces over the embedded databases, on the loopback address only."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import typer

from components.errors import UserError
from flows.embedded_server import end_on_termination

HOST = "127.0.0.1"
_LOOK_SECONDS = 0.5


class ServerEndedError(UserError, RuntimeError):
    """One of the two servers ended by itself."""


def serve_ui(*, prefect_port: int, mlflow_port: int) -> None:
    """Run both servers until one ends or the user interrupts.

    Args:
        prefect_port: of the Prefect UI.
        mlflow_port: of the MLflow UI.

    Raises:
        ServerEndedError: one ended by itself; the other is ended too.
    """
    prefect = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)]
    mlflow = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(mlflow_port)]
    mlflow += ["--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"], "--workers", "1"]
    # The page would otherwise look for the server at the default port.
    environment = {**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{prefect_port}/api"}
    end_on_termination()
    with ExitStack() as stack:
        servers = []
        for name, command in (("Prefect", prefect), ("MLflow", mlflow)):
            server = stack.enter_context(subprocess.Popen(command, env=environment))
            stack.callback(server.terminate)
            servers.append((name, server))
        typer.echo(f"Prefect http://{HOST}:{prefect_port}   MLflow http://{HOST}:{mlflow_port}   (Ctrl-C ends both)")
        try:
            name, code = wait_for_first(servers)
        except KeyboardInterrupt:
            typer.echo("ending both servers")
            return
    raise ServerEndedError(f"the {name} server ended with code {code} (its output is above); the other was ended too")


def wait_for_first(servers: Sequence[tuple[str, subprocess.Popen[bytes]]]) -> tuple[str, int]:
    """Wait until one of the named processes ends; its name and exit code."""
    while True:
        for name, server in servers:
            code = server.poll()
            if code is not None:
                return name, code
        time.sleep(_LOOK_SECONDS)
