"""The two web interfaces over the embedded databases, on the loopback address only."""

import os
import subprocess
import sys
from contextlib import ExitStack

import typer

from flows.embedded_server import end_on_termination

HOST = "127.0.0.1"


def serve_ui(*, prefect_port: int, mlflow_port: int) -> None:
    """Run both servers until one ends or the user interrupts.

    Args:
        prefect_port: of the Prefect UI.
        mlflow_port: of the MLflow UI.
    """
    prefect = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port)]
    mlflow = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(mlflow_port)]
    mlflow += ["--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"], "--workers", "1"]
    # The page would otherwise look for the server at the default port.
    environment = {**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{prefect_port}/api"}
    end_on_termination()
    with ExitStack() as stack:
        servers = [stack.enter_context(subprocess.Popen(command, env=environment)) for command in (prefect, mlflow)]
        for server in servers:
            stack.callback(server.terminate)
        typer.echo(f"Prefect http://{HOST}:{prefect_port}   MLflow http://{HOST}:{mlflow_port}   (Ctrl-C ends both)")
        try:
            servers[0].wait()
        except KeyboardInterrupt:
            typer.echo("ending both servers")
