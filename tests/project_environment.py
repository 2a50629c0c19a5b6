"""A project as the place where this process works, for as long as a block lasts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOREIGN = ("PREFECT_", "MLFLOW_", "DVC_")


@contextmanager
def project_environment(root: Path) -> Iterator[None]:
    """Make a folder the working directory and the home of Prefect, MLflow and DVC, as `presel` does."""
    from flows.environment import configure_environment

    before, environment = Path.cwd(), dict(os.environ)
    for name in environment:
        if name.startswith(FOREIGN):
            del os.environ[name]
    configure_environment(root)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def prefect_results_in(root: Path) -> Iterator[None]:
    """Let Prefect keep the results of tasks in the project, where `presel` keeps them."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: root / ".presel" / "prefect" / "storage"}):
        yield
