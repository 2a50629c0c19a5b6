"""Ctrl-C and SIGTERM reach the whole process group, Prefect's embedded server included; the run ends all the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from tests.flows.small_project import make_project
from tests.instruction_server import running_instruction_server

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]
PATIENCE = 240  # seconds
KEY = "sk-a-fake-key-of-the-interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_purchase_ends_soon_and_loses_nothing(tmp_path: Path, number: signal.Signals) -> None:
    root = make_project(tmp_path / "project")
    answers = ("--annotations", str(root / "pool/annotations.json"), "--images", str(root / "pool/images"))
    with running_instruction_server(*answers, "--key", KEY, "--faults", "slow", "--fault-rate", "1") as server:
        path = root / "params.yaml"
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        values["instructions"] |= {"provider": "openai", "model": "demo/models/tiny-llava"}
        values["purchase"] |= {"base_url": server.url, "key_variable": "PRESEL_TEST_KEY", "concurrency": 1}
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        foreign = ("PREFECT_", "MLFLOW_", "DVC_", "HF_")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        environment |= {"PYTHONPATH": str(root), "PRESEL_TEST_KEY": KEY}
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.command_line.main", "run"],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a process group of its own, as a shell makes one
        )
        deadline = time.monotonic() + PATIENCE
        while server.accounts["received"] < 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, number)
        interrupted = time.monotonic()
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + number, output
        assert time.monotonic() - interrupted < 60
        assert "the same command continues from here" in output
        charged = len(server.accounts["charges"])
    with open_ledger(f"sqlite:///{root / '.presel/ledger.sqlite'}") as ledger:
        totals = ledger_totals(ledger)
    assert charged - 1 <= totals.answered <= charged, "one was in flight"
