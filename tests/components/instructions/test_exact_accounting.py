"""Buyers are killed while the endpoint fails: every response is there once, and every charge is in the ledger."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
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

FAULTY = ("--faults", "all", "--fault-rate", "0.2", "--seed", "11")
CHARGED = {"answered", "unusable"}
UNCERTAIN = {"lost", "unknown"}


@dataclass(frozen=True)
class Purchase:
    """What is bought, and how often a buyer is killed meanwhile."""

    url: str
    folder: Path
    requests: int
    kills: int


def start(purchase: Purchase, server: RunningServer) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.components.instructions.buyer", purchase.url, server.url]
    environment = {**os.environ, "PRESEL_TEST_KEY": "test-key", "OMP_NUM_THREADS": "1"}
    command += [str(purchase.folder), str(purchase.requests)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def kill_at_random_moments(purchase: Purchase, server: RunningServer, *, workers: int, seed: int) -> None:
    """Keep so many buyers running; kill one of them, each time after some more requests were received."""
    chance = random.Random(seed)
    buyers = [start(purchase, server) for _ in range(workers)]
    for _ in range(purchase.kills):
        # So that something is left to buy after the last one.
        goal = server.accounts["received"] + chance.randint(20, purchase.requests * 4 // (5 * purchase.kills))
        while server.accounts["received"] < goal:
            assert all(buyer.poll() is None for buyer in buyers), "a buyer ended before it could be killed"
            time.sleep(chance.uniform(0.0, 0.05))
        victim = chance.randrange(workers)
        buyers[victim].send_signal(signal.SIGKILL)
        buyers[victim].wait()
        buyers[victim] = start(purchase, server)
    for buyer in buyers:
        assert buyer.wait(timeout=300) == 0


def attempts_of(ledger: Ledger) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    with ledger.engine.connect() as connection:
        for request_id, outcome in connection.execute(select(ATTEMPTS.c.request_id, ATTEMPTS.c.outcome)):
            found.setdefault(request_id, Counter())[outcome] += 1
    return found


def keys_given_up(ledger: Ledger) -> set[str]:
    """Requests to which an error came in the place of a reply so often that they were sent under another key.

    An endpoint may repeat an error for ever, so another charge is risked then.
    """
    columns = (ATTEMPTS.c.request_id, ATTEMPTS.c.outcome, ATTEMPTS.c.error)
    errors: Counter[str] = Counter()
    uncertain, given_up = set(), set()
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(*columns).order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)).all()
    for request_id, outcome, error in rows:
        if outcome in CHARGED:
            uncertain.discard(request_id)
            del errors[request_id]
            continue
        if outcome in UNCERTAIN:
            uncertain.add(request_id)
        errors[request_id] += request_id in uncertain and (
            outcome == "refused" or str(error).startswith("broken_reply")
        )
        if errors[request_id] == 3:
            given_up.add(request_id)
    return given_up


def check(purchase: Purchase, server: RunningServer, *, keys_are_known: bool) -> None:
    accounts, per_send = server.accounts, server.charges_per_send
    charges = Counter(key.rpartition("-")[0] for key, _ in per_send.elements())
    with open_ledger(purchase.url) as ledger:
        attempts = attempts_of(ledger)
        with ledger.engine.connect() as connection:
            rows = connection.execute(select(REQUESTS)).all()
            paid_columns = (ATTEMPTS.c.request_id, ATTEMPTS.c.input_tokens, ATTEMPTS.c.output_tokens)
            paid = connection.execute(select(*paid_columns).where(ATTEMPTS.c.outcome.in_(CHARGED))).all()
        given_up = keys_given_up(ledger)

    # Every response is present once.
    assert len(rows) == purchase.requests
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
        assert len(given_up) < 5, "such a row of errors is rare"
        charged = [charge for charge in accounts["charges"] if charge["key"].rpartition("-")[0] not in given_up]
        paid = [row for row in paid if row.request_id not in given_up]
        assert len(charged) == len(paid)
        assert sum(charge["prompt_tokens"] for charge in charged) == sum(row.input_tokens for row in paid)
        assert sum(charge["completion_tokens"] for charge in charged) == sum(row.output_tokens for row in paid)
    else:
        assert twice, "the test is hard enough to catch some requests in flight"
    assert sum(outcomes["lost"] for outcomes in attempts.values()) > 0, "some were in flight at a kill"


def prepared(url: str, folder: Path, *, requests: int, kills: int) -> Purchase:
    draw_requests(folder / "images", requests)
    write_template(folder / "prompts")
    return Purchase(url, folder, requests, kills)


def test_one_buyer_killed_twice(url: str, tmp_path: Path) -> None:
    purchase = prepared(url, tmp_path, requests=150, kills=2)
    with running_instruction_server(*FAULTY) as server:
        kill_at_random_moments(purchase, server, workers=1, seed=1)
        check(purchase, server, keys_are_known=True)


@pytest.mark.soak
def test_one_buyer_killed_ten_times(url: str, tmp_path: Path) -> None:
    purchase = prepared(url, tmp_path, requests=2000, kills=10)
    with running_instruction_server(*FAULTY) as server:
        kill_at_random_moments(purchase, server, workers=1, seed=1)
        check(purchase, server, keys_are_known=True)


@pytest.mark.soak
def test_one_buyer_killed_ten_times_at_an_endpoint_that_ignores_keys(url: str, tmp_path: Path) -> None:
    purchase = prepared(url, tmp_path, requests=2000, kills=10)
    # A request that something in between delivers twice is charged twice there, and no client can know.
    faults = ",".join(name for name in FAULTS if name != "duplicate")
    with running_instruction_server(*FAULTY, "--faults", faults, "--ignore-keys") as server:
        kill_at_random_moments(purchase, server, workers=1, seed=2)
        check(purchase, server, keys_are_known=False)


@pytest.mark.soak
@pytest.mark.postgresql
def test_two_buyers_on_one_postgresql_ledger_killed_ten_times(postgresql_url: str, tmp_path: Path) -> None:
    purchase = prepared(postgresql_url, tmp_path, requests=2000, kills=10)
    with running_instruction_server(*FAULTY) as server:
        kill_at_random_moments(purchase, server, workers=2, seed=3)
        check(purchase, server, keys_are_known=True)
