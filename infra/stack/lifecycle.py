"""Starting and stopping the stack."""

import shutil
from collections.abc import Callable
from functools import partial

from infra.stack import postgresql
from infra.stack.client import connect_dvc, disconnect_dvc, write_client_files
from infra.stack.passwords import Passwords, passwords_of
from infra.stack.services import DVC_BUCKET, MLFLOW_BUCKET, is_healthy
from infra.stack.settings import StackError, StackSettings, check_port
from infra.stack.supervision import await_service, services_of, start_service, start_supervisor, stop_supervisor
from infra.stack.work_pool import create_work_pool, deploy

# The first start creates tables and imports everything for the first time; a busy machine needs its time.
_SECONDS = {"postgresql": 60, "objects": 30, "prefect": 240, "mlflow": 240, "worker": 120}


def start(settings: StackSettings, *, say: Callable[[str], None]) -> None:
    """Start what does not run, each service when those that it needs answer.

    Args:
        settings: the stack.
        say: takes a line for a person.

    Raises:
        StackError: something is missing or does not come up; what came up stays up.
    """
    passwords = prepare(settings)
    write_client_files(settings, passwords)
    start_services(settings, passwords, "postgresql", say=say)
    postgresql.create_databases(settings, passwords)
    start_services(settings, passwords, "objects", "prefect", "mlflow", say=say)
    create_work_pool(settings, passwords)
    start_services(settings, passwords, "worker", say=say)
    if deploy(settings, passwords):
        say("the deployments of prefect.yaml are up to date")
    if connect_dvc(settings, passwords, DVC_BUCKET):
        say("the DVC remote of this checkout is the stack's, until it is stopped (.dvc/config.local)")
    else:
        say("the DVC remote stays as .dvc/config.local has it, which names one of its own")


def prepare(settings: StackSettings) -> Passwords:
    """Make the folders, passwords and the empty database cluster where they are missing; start the supervisor."""
    # Others may pass through it, because PostgreSQL's own user has to; what is in it they may not read.
    settings.folder.mkdir(parents=True, exist_ok=True)
    settings.folder.chmod(0o711)
    settings.logs.mkdir(mode=0o700, exist_ok=True)
    for bucket in (MLFLOW_BUCKET, DVC_BUCKET):
        (settings.objects / bucket).mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords = passwords_of(settings.folder)
    postgresql.create_data_folder(settings, passwords)
    if services_of(settings) is None:
        start_supervisor(settings)
    return passwords


def start_services(settings: StackSettings, passwords: Passwords, *names: str, say: Callable[[str], None]) -> None:
    """Start services side by side and wait until each answers.

    Raises:
        StackError: a port is taken, or one does not come up.
    """
    ports = {
        "postgresql": settings.postgresql_port,
        "objects": settings.objects_port,
        "prefect": settings.prefect_port,
        "mlflow": settings.mlflow_port,
    }
    states = services_of(settings) or {}
    for name in names:
        if name in ports and states.get(name) != "RUNNING":
            check_port(name, ports[name])
    for name in names:
        start_service(settings, name)
    for name in names:
        await_service(settings, name, partial(is_healthy, name, settings, passwords), seconds=_SECONDS[name])
        say(f"{name} answers")


def stop(settings: StackSettings) -> bool:
    """Stop everything, in the order opposite to the start; what it keeps stays.

    Returns:
        False when nothing ran.
    """
    disconnect_dvc(settings)
    if services_of(settings) is None:
        return False
    stop_supervisor(settings)
    return True


def clean(settings: StackSettings) -> None:
    """Remove all that a stopped stack keeps: databases, objects, passwords, logs.

    Raises:
        StackError: it runs.
    """
    if services_of(settings) is not None:
        raise StackError("the stack runs; stop it first (`make stack-stop`)")
    if settings.folder.exists():
        shutil.rmtree(settings.folder)
