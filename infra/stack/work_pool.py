"""What Prefect must know before the worker starts: the work pool, and the deployments of `prefect.yaml`."""

import os
import subprocess
import sys
from pathlib import Path

from infra.stack.client import client_environment
from infra.stack.passwords import Passwords
from infra.stack.settings import WORK_POOL, StackError, StackSettings

_TEMPLATE = Path("infra") / "work_pools" / "process.json"


def create_work_pool(settings: StackSettings, passwords: Passwords) -> None:
    """Make the pool, or bring it up to date."""
    template = ["--base-job-template", str(_TEMPLATE)] if (settings.project / _TEMPLATE).is_file() else []
    _prefect(settings, passwords, "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite", *template)


def deploy(settings: StackSettings, passwords: Passwords) -> bool:
    """Deploy every flow of `prefect.yaml`, or bring its deployment up to date.

    Returns:
        False when the project has no `prefect.yaml`.
    """
    if not (settings.project / "prefect.yaml").is_file():
        return False
    _prefect(settings, passwords, "--no-prompt", "deploy", "--all")
    return True


def _prefect(settings: StackSettings, passwords: Passwords, *arguments: str) -> None:
    environment = {**os.environ, **client_environment(settings, passwords)}
    done = subprocess.run(
        [sys.executable, "-m", "infra.prefect_in_project", *arguments],
        cwd=settings.project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"`prefect {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
