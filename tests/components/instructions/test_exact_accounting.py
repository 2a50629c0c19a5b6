"""Buyers are killed while the endpoint fails: every response is there once, and every charge is in the ledger."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from components.instructions.ledger.ledger import Ledger, open_ledger
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from demo.instruction_faults import FAULTS
from tests.components.instructions.purchases import draw_requests, write_template
from tests.imports_of import ROOT
from tests.instruction_server import RunningServer, running_instruction_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REQUESTS_IN_ALL = 2000
KILLS = 10
FAULTY = ("--faults", "all", "--fault-rate", "0.2", "--seed", "11")
CHARGED = {"answered", "unusable"}
UNCERTAIN = {"lost", "unknown"}


def start(url: str, server: RunningServer, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.components.instructions.buyer", url, server.url, str(folder)]
    environment = {**os.environ, "PRESEL_TEST_KEY": "test-key", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, str(REQUESTS_IN_ALL)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def kill_at_random_moments(url: str, server: RunningServer, folder: Path, *, workers: int, seed: int) -> None:
    """Keep so many buyers running; kill one of them, ten times, each time after some more requests were received."""
    chance = random.Random(seed)
    buyers = [start(url, server, folder) for _ in range(workers)]
    for _ in range(KILLS):
        goal = server.accounts["received"] + chance.randint(20, 160)
        while server.accounts["received"] < goal:
            assert all(buyer.poll() is None for buyer in buyers), "a buyer ended before it could be killed"
            time.sleep(chance.uniform(0.0, 0.05))
        victim = chance.randrange(workers)
        buyers[victim].send_signal(signal.SIGKILL)
        buyers[victim].wait()
        buyers[victim] = start(url, server, folder)
    for buyer in buyers:
        assert buyer.wait(timeout=300) == 0


def attempts_of(ledger: Ledger) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    with ledger.engine.connect() as connection:
        for request_id, outcome in connection.execute(select(ATTEMPTS.c.request_id, ATTEMPTS.c.outcome)):
            found.setdefault(request_id, Counter())[outcome] += 1
    return found


def check(url: str, server: RunningServer, *, keys_are_known: bool) -> None:
    accounts, per_send = server.accounts, server.charges_per_send
    charges = Counter(key.rpartition("-")[0] for key, _ in per_send.elements())
    with open_ledger(url) as ledger:
        attempts = attempts_of(ledger)
        with ledger.engine.connect() as connection:
            rows = connection.execute(select(REQUESTS)).all()
            paid = connection.execute(
                select(ATTEMPTS.c.input_tokens, ATTEMPTS.c.output_tokens).where(ATTEMPTS.c.outcome.in_(CHARGED))
            ).all()

    # Every response is present once.
    assert len(rows) == REQUESTS_IN_ALL
    assert {row.state for row in rows} == {"answered"}
    assert all(outcomes["answered"] == 1 for outcomes in attempts.values())
    assert sum(outcomes["asked"] for outcomes in attempts.values()) == 0

    # Every charge is an attempt, and every attempt that says it was charged was.
    assert set(charges) == {row.request_id for row in rows}
    for request_id, outcomes in attempts.items():
        certain = sum(outcomes[name] for name in CHARGED)
        uncertain = sum(outcomes[name] for name in UNCERTAIN)
        assert certain <= charges[request_id] <= certain + uncertain, request_id

    # No send is charged twice but those whose outcome was lost, and these are named.
    twice = {key.rpartition("-")[0] for (key, _), count in per_send.items() if count > 1}
    named = {request_id for request_id, outcomes in attempts.items() if any(outcomes[name] for name in UNCERTAIN)}
    assert twice <= named
    if keys_are_known:
        assert twice == set()
        # What was paid, to the token: the ledger lacks only replies that a kill or a broken connection took away and
        # that were given again, without a charge, under the same key.
        assert len(accounts["charges"]) == len(paid)
        assert sum(charge["prompt_tokens"] for charge in accounts["charges"]) == sum(row.input_tokens for row in paid)
        received = sum(charge["completion_tokens"] for charge in accounts["charges"])
        assert received == sum(row.output_tokens for row in paid)
    else:
        assert twice, "the test is hard enough to catch some requests in flight"
    assert sum(outcomes["lost"] for outcomes in attempts.values()) > 0, "some were in flight at a kill"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw_requests(tmp_path / "images", REQUESTS_IN_ALL)
    write_template(tmp_path / "prompts")
    return tmp_path


def test_one_buyer_killed_ten_times(folder: Path) -> None:
    url = f"sqlite:///{folder}/ledger.sqlite"
    with running_instruction_server(*FAULTY) as server:
        kill_at_random_moments(url, server, folder, workers=1, seed=1)
        check(url, server, keys_are_known=True)


@pytest.mark.soak
def test_one_buyer_killed_ten_times_at_an_endpoint_that_ignores_keys(folder: Path) -> None:
    url = f"sqlite:///{folder}/ledger.sqlite"
    # A request that something in between delivers twice is charged twice there, and no client can know.
    faults = ",".join(name for name in FAULTS if name != "duplicate")
    with running_instruction_server(*FAULTY, "--faults", faults, "--ignore-keys") as server:
        kill_at_random_moments(url, server, folder, workers=1, seed=2)
        check(url, server, keys_are_known=False)


@pytest.mark.postgresql
def test_two_buyers_on_one_postgresql_ledger_killed_ten_times(folder: Path, postgresql_url: str) -> None:
    with running_instruction_server(*FAULTY) as server:
        kill_at_random_moments(postgresql_url, server, folder, workers=2, seed=3)
        check(postgresql_url, server, keys_are_known=True)
