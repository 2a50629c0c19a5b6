"""A small annotated pool: images on disk, the annotation file, and the requests for some of them."""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine

from components.instructions import purchase_loop
from components.instructions.ledger import ledger as ledger_module
from components.instructions.ledger.ledger import Ledger, open_ledger
from components.instructions.provider import EarlierFailures, OpenBatch, Outcome, Send, UnusableReply
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.parameters.instructions import AnnotationFile, InstructionParameters, PurchaseParameters
from components.pool.samples import sample_identity
from tests.imports_of import ROOT
from tests.postgresql import running_server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of an endpoint are tried again more often than shipped, and sooner; no write waits for the disk."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 12)
    monkeypatch.setattr(ledger_module, "_SYNCHRONOUS", "OFF")
    # By name: what tests a model on this machine does not import the client of an endpoint.
    monkeypatch.setattr("components.instructions.endpoint.provider.BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr("components.instructions.endpoint.provider.LONGEST_BACKOFF_SECONDS", 0.05)


SOURCE = "pool.json"  # where the samples of `request_for` are listed


def conversation(*texts: object) -> list[dict[str, object]]:
    return [{"from": "gpt" if number % 2 else "human", "value": text} for number, text in enumerate(texts)]


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for name in ("a", "b", "c", "d"):
        (root / f"{name}.png").write_bytes(f"bytes of {name}".encode())
    (root / "a-copy.png").write_bytes(b"bytes of a")
    return root


@pytest.fixture
def write_annotations(tmp_path: Path, image_root: Path) -> Callable[..., AnnotationFile]:
    def write(records: Sequence[object], name: str = "annotations.json") -> AnnotationFile:
        path = tmp_path / name
        path.write_text(json.dumps(records, indent=1), encoding="utf-8")
        return AnnotationFile(path=str(path), image_root=str(image_root))

    return write


@pytest.fixture
def request_for(image_root: Path) -> Callable[..., InstructionRequest]:
    def make(image: str, *record_ids: str, task: str = "color") -> InstructionRequest:
        sha = hashlib.sha256((image_root / image).read_bytes()).hexdigest()
        return InstructionRequest(
            sample_id=sample_identity(task, sha),
            task=task,
            image_sha=sha,
            uri=str(image_root / image),
            record_ids=record_ids or (image.split(".", maxsplit=1)[0],),
            source=SOURCE,
        )

    return make


class RecordingBook:
    """A `PurchaseBook` in memory, for tests of a provider alone."""

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.outcomes: list[Outcome] = []
        self.run_spent_usd = 0.0
        self.asks_again = False
        self.left_out: dict[str, str] = {}

    def announce(self, sends: Sequence[Send]) -> list[bool]:
        self.sends += sends
        return [True] * len(sends)

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes += outcomes

    def give_up(self, request_ids: Sequence[str]) -> None:
        """Not kept."""

    def leave_out(self, identified: IdentifiedRequest, *, reason: str, detail: str) -> None:
        self.left_out[identified.request_id] = reason

    def unusable_replies(self, request_ids: Sequence[str]) -> dict[str, list[UnusableReply]]:
        return {}

    def earlier_failures(self, request_ids: Sequence[str]) -> dict[str, EarlierFailures]:
        return {}

    def answered_like(self, specification: RequestSpecification) -> list[IdentifiedRequest]:
        return []

    def announce_batch(self, kind: str, sends: Sequence[Send], *, endpoint: str) -> tuple[int, list[bool]]:
        return 1, self.announce(sends)

    def submit_batch(self, number: int) -> None:
        """Not kept."""

    def name_batch(self, number: int, reference: str) -> None:
        """Not kept."""

    def adopt_batches(self, kind: str, *, endpoint: str | None = None) -> Sequence[OpenBatch]:
        return ()

    def close_batch(self, number: int, *, sent: bool = True) -> None:
        """Not kept."""


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite ledger with its tables and nothing in it, to be copied: making one takes longer than most tests."""
    file = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    with open_ledger(f"sqlite:///{file}"):
        return file


@pytest.fixture
def url(tmp_path: Path, empty_ledger: Path) -> str:
    """A ledger. SQLite alone: what buys through it does not know where it is kept; `ledger/` has one of each kind."""
    file = tmp_path / "ledger.sqlite"
    shutil.copy(empty_ledger, file)
    return f"sqlite:///{file}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """The same, open."""
    with open_ledger(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """One server for all tests."""
    with running_server() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """A new database."""
    return new_database(postgresql_server)


def new_database(server: str) -> str:
    """Make a database; returns its URL."""
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"


def instruction_parameters(**changes: object) -> InstructionParameters:
    """The shipped ones, with changes."""
    return InstructionParameters.model_validate({**_shipped()["instructions"], **changes})


def purchase_parameters(**changes: object) -> PurchaseParameters:
    """The shipped ones, fast enough for a test, with changes."""
    quick = {
        "key_variable": "PRESEL_TEST_KEY",
        "requests_per_minute": 1e9,
        "tokens_per_minute": 1e12,
        "timeout_seconds": 1.0,
        "spend_at_most_usd": 1000.0,
    }
    return PurchaseParameters.model_validate({**_shipped()["purchase"], **quick, **changes})


@cache
def _shipped() -> Any:
    return yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
