"""Ledgers of each kind: here SQL and locks are what is tested."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.instructions.ledger.ledger import Ledger, open_ledger
from tests.components.instructions.conftest import made_database

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def empty_postgresql_ledger(postgresql_server: str) -> str:
    """The name of a database with the ledger's tables and nothing in it, to be copied."""
    url = made_database(postgresql_server, template="template1")
    with open_ledger(url):
        return url.rpartition("/")[2]


@pytest.fixture(params=KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger of each kind, not made yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/folder/ledger.sqlite"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, empty_ledger: Path) -> str:
    """A ledger of each kind, with nothing in it."""
    if request.param == "sqlite":
        shutil.copy(empty_ledger, tmp_path / "ledger.sqlite")
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    template = request.getfixturevalue("empty_postgresql_ledger")
    return made_database(request.getfixturevalue("postgresql_server"), template=template)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An open ledger of each kind."""
    with open_ledger(url) as opened:
        yield opened
