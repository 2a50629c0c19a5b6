"""What tests of batches share: a key, a server, and a ledger in a file that a second purchase can open."""

import pytest

from components.instructions.ledger.ledger import open_ledger
from tests.instruction_server import running_instruction_server


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", "test-key")


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ledger.sqlite"


@pytest.fixture
def ledger(url):
    with open_ledger(url) as ledger:
        yield ledger


@pytest.fixture
def server():
    with running_instruction_server() as running:
        yield running
