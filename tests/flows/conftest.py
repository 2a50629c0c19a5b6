"""A small project with a Prefect server, in which flows really run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from flows.environment import configure_environment
from tests.flows.small_project import make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small project as working directory, with its own Prefect server, MLflow database and DVC cache."""
    root = make_project(tmp_path_factory.mktemp("project"))
    before, environment = Path.cwd(), dict(os.environ)
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "DVC_")):
            del os.environ[name]
    configure_environment(root)
    try:
        with (
            prefect_test_harness(server_startup_timeout=120),
            temporary_settings({PREFECT_LOCAL_STORAGE_PATH: root / ".presel" / "prefect" / "storage"}),
        ):
            yield root
    finally:
        os.chdir(before)
        os.environ.clear()
        os.environ.update(environment)
