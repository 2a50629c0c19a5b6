"""One laboratory for all faults: starting one takes longer than most of them."""

from collections.abc import Iterator

import pytest

from tests.faults.laboratory import Laboratory, close_laboratory, open_laboratory


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """The small project, its Prefect server, and a way to start commands in it."""
    opened = open_laboratory(tmp_path_factory.mktemp("faults"))
    yield opened
    close_laboratory(opened)
