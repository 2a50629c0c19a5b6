"""The small project, finished or only made, with a Prefect server in which flows really run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import keep_what_is_imported
from tests.flows.finished_project import FirstRun, copy_project, first_run, working_in
from tests.flows.small_project import make_project


@pytest.fixture(scope="session")
def finished(shared_folder: Path, prefect_server: None) -> FirstRun:
    """The session's one first run; only to be copied."""
    run = first_run(shared_folder)
    keep_what_is_imported()
    return run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, finished: FirstRun) -> Iterator[Path]:
    """A finished project of the module's own, which is the working directory."""
    with working_in(copy_project(finished.root, tmp_path_factory.mktemp("project") / "project")) as root:
        yield root


@pytest.fixture(scope="module")
def new_project(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Path]:
    """A project of the module's own in which nothing has run, which is the working directory."""
    with working_in(make_project(tmp_path_factory.mktemp("new") / "project")) as root:
        yield root
