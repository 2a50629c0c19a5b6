"""Ledgers of each kind: here SQL and locks are what is tested."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from components.instructions.ledger.ledger import Ledger, open_ledger
from components.instructions.ledger.tables import METADATA
from tests.components.instructions.conftest import new_database

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


@pytest.fixture(scope="session")
def postgresql_ledger(postgresql_server: str) -> str:
    """A ledger that tests use one after the other: a database for each takes longer, and is 300 files to remove."""
    url = new_database(postgresql_server)
    with open_ledger(url):
        return url


@pytest.fixture
def empty_postgresql_ledger(postgresql_ledger: str) -> str:
    """The same, with nothing in it."""
    engine = create_engine(postgresql_ledger)
    with engine.begin() as connection:
        names = ", ".join(table.name for table in METADATA.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    engine.dispose()
    return postgresql_ledger


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
    return str(request.getfixturevalue("empty_postgresql_ledger"))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An open ledger of each kind."""
    with open_ledger(url) as opened:
        yield opened
