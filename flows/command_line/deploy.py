"""The commands `presel deploy` and `presel worker`."""

import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PoolKind(StrEnum):
    """Where a worker starts runs."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


def deploy(
    pool: Annotated[PoolKind, typer.Option(help="Where runs are started.")] = PoolKind.PROCESS,
    gpu_limit: Annotated[
        int | None, typer.Option(help="Stages that use the GPU at a time, over all runs; default: no limit.", min=1)
    ] = None,
    api_limit: Annotated[
        int | None, typer.Option(help="Stages that buy from an API at a time; default: no limit.", min=1)
    ] = None,
) -> None:
    """Tell the Prefect server (PREFECT_API_URL) of the work pool, the limits and the deployments of prefect.yaml."""
    from flows.deploy import deploy as deploy_all

    try:
        deploy_all(pool_type=pool.value, limits={"gpu": gpu_limit, "api": api_limit})
    except subprocess.CalledProcessError as error:
        raise typer.Exit(1) from error


def worker(
    name: Annotated[str | None, typer.Option(help="Of this worker, in the Prefect UI.")] = None,
    limit: Annotated[int | None, typer.Option(help="Runs at a time; default: no limit.", min=1)] = None,
    healthcheck: Annotated[
        bool, typer.Option("--with-healthcheck", help="Answer `/health` on PREFECT_WORKER_WEBSERVER_PORT.")
    ] = False,
) -> None:
    """Serve the deployments on this machine: a worker of the work pool, in this project's environment."""
    from flows.deploy import POOL, require_server
    from flows.environment import PROJECT_VARIABLE

    require_server()
    os.environ[PROJECT_VARIABLE] = str(Path.cwd())
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--install-policy", "never"]
    command += ["--name", name] if name else []
    command += ["--limit", str(limit)] if limit else []
    command += ["--with-healthcheck"] if healthcheck else []
    # Not a child: signals then reach the worker itself.
    os.execv(sys.executable, command)  # noqa: S606 -- a fixed argument list
