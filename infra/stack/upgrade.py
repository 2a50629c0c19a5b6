"""Bringing the databases up to new versions of MLflow and Prefect."""

import os
import subprocess
import sys
from collections.abc import Callable

from infra.stack.lifecycle import prepare, start_services
from infra.stack.services import PROGRAMS
from infra.stack.settings import StackError, StackSettings
from infra.stack.supervision import service_environment, services_of, stop_supervisor

_COMMANDS = {
    "mlflow": (
        ("mlflow", "db", "upgrade", "postgresql+psycopg://"),
        ("mlflow.server.auth", "db", "upgrade", "--url", "postgresql+psycopg://"),
    ),
    "prefect": (("prefect", "server", "database", "upgrade", "--yes"),),
}


def upgrade(settings: StackSettings, *, say: Callable[[str], None]) -> None:
    """Migrate the databases; only PostgreSQL runs meanwhile.

    Args:
        settings: a stopped stack.
        say: takes a line for a person.

    Raises:
        StackError: the stack runs, or a migration fails; restore the back-up then.
    """
    if services_of(settings) is not None:
        raise StackError("the stack runs; back it up, stop it, install the new versions, then upgrade")
    passwords = prepare(settings)
    try:
        start_services(settings, passwords, "postgresql", say=say)
        for service, commands in _COMMANDS.items():
            environment = service_environment(os.environ) | PROGRAMS[service](settings, passwords).environment
            for command in commands:
                done = subprocess.run(
                    [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode != 0:
                    raise StackError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
                say(f"{' '.join(command[:3])}: done")
    finally:
        stop_supervisor(settings)
