"""What a Prefect server has to know to run this project: the work pool, the limits, the deployments of prefect.yaml."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate, WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from components.parameters.parameters import ParameterError
from tasks.platform.declaration import Resource
from tasks.platform.prefect_server import check_server, server_address

POOL = "presel"
PoolType = Literal["process", "docker", "kubernetes"]
_TEMPLATES = Path("infra/work_pools")


def deploy(*, pool_type: PoolType, limits: dict[Resource, int | None]) -> None:
    """Create or update everything; doing it again changes nothing.

    Args:
        pool_type: where runs are started: as processes of the worker, as containers, as Kubernetes jobs.
        limits: stages at a time, over all runs, that use the GPU or ask an API; None: as many as there are.

    Raises:
        ParameterError: no server is named, or the pool exists with another type.
        PrefectServerError: the server does not answer, or does not let this project in.
        subprocess.CalledProcessError: `prefect deploy` refuses prefect.yaml; it says why.
    """
    require_server()
    check_server()
    create_pool(pool_type)
    for resource, slots in limits.items():
        set_limit(resource, slots)
    subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], check=True)


def require_server() -> str:
    """The address of the Prefect server.

    Raises:
        ParameterError: none is named; an embedded server would end with this command.
    """
    address = server_address()
    if not address:
        raise ParameterError(
            "PREFECT_API_URL is not set, nor is it in .env or a Prefect profile: name the Prefect server that shall "
            "know the deployments, e.g. PREFECT_API_URL=http://127.0.0.1:4200/api (`presel ui` or `make stack` serve "
            "one)"
        )
    return address


def create_pool(pool_type: PoolType) -> None:
    """Create the work pool, or give the one there is the template of `infra/work_pools`."""
    template = json.loads((_TEMPLATES / f"{pool_type}.json").read_text(encoding="utf-8"))
    with get_client(sync_client=True) as client:
        try:
            there = client.read_work_pool(POOL)
        except ObjectNotFound:
            there = None
        if there is not None and there.type != pool_type:
            raise ParameterError(
                f"work pool {POOL!r} is of type {there.type}, not {pool_type}; a pool keeps its type: delete it first "
                f"with `prefect work-pool delete {POOL}`"
            )
        pool = WorkPoolCreate(name=POOL, type=pool_type, base_job_template=template)
        client.create_work_pool(pool, overwrite=True)


def set_limit(resource: Resource, slots: int | None) -> None:
    """Create, change or remove the global concurrency limit that Prefect holds tasks with this tag to."""
    name = f"tag:{resource}"
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            if slots is not None:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))
            return
        if slots is None:
            client.delete_global_concurrency_limit_by_name(name)
        else:
            client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=slots))
