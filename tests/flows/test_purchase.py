"""The whole flow buys from an endpoint on loopback; a person agrees or does not; no secret is written anywhere."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_runs import resume_flow_run

from components.instructions.endpoint import provider as endpoint_provider
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.schemas import ATTEMPT_ROWS, INSTRUCTIONS
from components.storage import read_table
from flows.curate import curate
from flows.outcome import CurationOutcome
from flows.plan import plan_workspace
from tasks.platform.workspace import Workspace
from tests.flows.finished_project import change_parameters
from tests.instruction_server import RunningServer, running_instruction_server

pytestmark = pytest.mark.slow(50)
KEY = "sk-a-fake-key-that-must-not-be-written-anywhere"


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[RunningServer]:
    """It writes the instructions of the small pool, shows the key it gets in its errors, and fails now and then."""
    answers = ("--annotations", str(project / "pool/annotations.json"), "--images", str(project / "pool/images"))
    faults = ("--faults", "rate_limited,server_error,wrong_schema,refusal,drop", "--fault-rate", "0.2", "--seed", "3")
    with running_instruction_server(*answers, *faults, "--key", KEY) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def short_pauses() -> Iterator[None]:
    """The server fails on purpose, and is back at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endpoint_provider, "BACKOFF_SECONDS", 0.02)
        yield


@pytest.fixture(scope="module", autouse=True)
def bought_from_the_server(project: Path, server: RunningServer) -> None:
    """The finished project's parameters, with provider openai and a ledger in which nothing is bought yet."""
    change_parameters(
        project,
        instructions={
            "provider": "openai",
            "model": "test-model",
            "repairs": 9,
            "ledger": "sqlite:///.presel/bought.sqlite",
        },
        purchase={
            "base_url": server.url,
            "key_variable": "PRESEL_TEST_KEY",
            "approve_above_usd": 1000.0,
            "requests_per_minute": 1e9,
            "tokens_per_minute": 1e12,
            "prices": [
                {
                    "model": "test-model",
                    "input_usd": 3.0,
                    "output_usd": 6.0,
                    "batch_factor": 0.5,
                    "image_tokens": {"fixed": 64},
                    "as_of": "2026-11-01",
                }
            ],
        },
    )
    os.environ["PRESEL_TEST_KEY"] = KEY


def answer_when_it_waits(answers: list[dict[str, object]]) -> threading.Thread:
    """A person at the UI: gives each answer to the next pause of the newest run."""

    def wait() -> None:
        seen: set[str] = set()
        for answer in answers:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                with get_client(sync_client=True) as client:
                    runs = client.read_flow_runs(
                        flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_="curate")),
                        sort=FlowRunSort.START_TIME_DESC,
                        limit=1,
                    )
                state = runs[0].state if runs else None
                if state is not None and state.type == StateType.PAUSED and str(state.id) not in seen:
                    seen.add(str(state.id))
                    try:
                        resume_flow_run(runs[0].id, run_input=answer)
                    except RuntimeError:  # the form is saved a moment after the pause
                        seen.discard(str(state.id))
                        time.sleep(0.1)
                        continue
                    break
                time.sleep(0.2)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def totals(project: Path) -> Any:
    ledger = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["instructions"]["ledger"]
    with open_ledger(ledger) as opened:
        return ledger_totals(opened)


def test_a_purchase_that_costs_more_waits_and_a_no_ends_the_run(project: Path, server: RunningServer) -> None:
    change_parameters(project, purchase={"approve_above_usd": 0.001})
    person = answer_when_it_waits([{"approve": False, "approve_up_to_usd": 1.0}])
    state = curate(".", return_state=True)
    person.join()
    assert (state.type, state.name) == (StateType.CANCELLED, "Declined")
    assert "the purchase of instruct_reference for about $" in (state.message or "")
    assert "was declined; everything bought is kept" in (state.message or "")
    assert server.accounts["received"] == 0
    assert (project / "data/reference/reference.parquet").exists(), "what was computed is kept"


def test_a_yes_lets_it_go_on_and_a_larger_amount_asks_only_once(project: Path, server: RunningServer) -> None:
    person = answer_when_it_waits([{"approve": True, "approve_up_to_usd": 5.0}])
    outcome = curate(".")
    person.join()
    assert isinstance(outcome, CurationOutcome)
    assert outcome.instructions == 36
    bought = read_table(project / "data/instructions/selection/instructions.parquet", INSTRUCTIONS)
    assert bought.num_rows == 24
    assert set(bought["provider"].to_pylist()) == {"openai"}
    answers = {turn["response"] for row in bought["turns"].to_pylist() for turn in row}
    assert answers <= {"red", "green", "blue", "black", "circle", "square"}


def test_the_ledger_is_exported_with_the_artifact_in_one_order(project: Path, server: RunningServer) -> None:
    files = sorted((project / "data/instructions").glob("*/attempts.parquet"))
    assert {file.parent.name for file in files} == {"reference", "selection"}
    charged = 0
    seen = set()
    for file in files:
        table = read_table(file, ATTEMPT_ROWS)
        order = list(zip(table["sample_id"].to_pylist(), table["number"].to_pylist(), strict=True))
        assert order == sorted(order)
        for row in table.to_pylist():
            if (row["request_id"], row["number"]) not in seen:
                seen.add((row["request_id"], row["number"]))
                charged += row["outcome"] in ("answered", "unusable")
    assert charged == len(server.accounts["charges"])


def test_the_plan_shows_the_estimate_beside_what_was_paid(project: Path) -> None:
    text, _ = plan_workspace(Workspace("."))
    assert "tokens in, out" in text
    assert "with the price of test-model as of 2026-11-01: $3 and $6 per million tokens" in text
    paid = next(line for line in text.splitlines() if line.startswith("all "))
    assert f"{totals(project).price_usd:,.4f}" in paid.split()


def test_a_second_run_buys_nothing_and_asks_nobody(project: Path, server: RunningServer) -> None:
    received = server.accounts["received"]
    outcome = curate(".")
    assert isinstance(outcome, CurationOutcome)
    assert server.accounts["received"] == received


def test_no_secret_is_written_anywhere(project: Path) -> None:
    """Parameters, artifacts, ledger, databases and logs of MLflow and Prefect, DVC's cache; after a refused key too."""
    change_parameters(project, instructions={"temperature": 0.1})
    os.environ["PRESEL_TEST_KEY"] = wrong = KEY + "-wrong"
    person = answer_when_it_waits([{"approve": True, "approve_up_to_usd": 5.0}])
    state = curate(".", return_state=True)
    person.join()
    os.environ["PRESEL_TEST_KEY"] = KEY
    change_parameters(project, instructions={"temperature": 0.7})
    assert state.is_failed()
    assert "HTTP 401: Incorrect API key provided: [key]" in (state.message or "")
    assert wrong not in (state.message or "")
    prefect_home = Path(os.environ["PREFECT_HOME"])
    for folder in (project, prefect_home):
        found = subprocess.run(
            ["grep", "-rl", "--binary-files=text", KEY, str(folder)], capture_output=True, text=True, check=False
        )
        assert found.stdout == "", found.stdout
        assert found.returncode == 1
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=50):
            assert KEY not in run.model_dump_json()
        logs = client.request("POST", "/logs/filter", json={"limit": 200, "sort": "TIMESTAMP_DESC"}).text
    assert "instruct_reference" in logs
    assert KEY not in logs


@pytest.mark.soak
def test_a_stage_outside_a_flow_does_not_spend_what_needs_a_word(project: Path, server: RunningServer) -> None:
    change_parameters(project, instructions={"temperature": 0.2}, purchase={"approve_above_usd": 0.001})
    received = server.accounts["received"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "dvc", "repro", "instruct_reference"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    change_parameters(project, instructions={"temperature": 0.7})
    assert done.returncode != 0
    assert "more than purchase.approve_above_usd $0.0010: `presel run` asks a person first" in done.stdout + done.stderr
    assert server.accounts["received"] == received


@pytest.mark.soak
def test_what_comes_to_more_than_a_person_allowed_is_asked_for_again(project: Path, server: RunningServer) -> None:
    """The estimate is within the amount that needs no word; what the endpoint charges is not."""
    change_parameters(
        project,
        instructions={"temperature": 0.3},
        purchase={"approve_above_usd": 0.03, "concurrency": 1},
    )
    before = totals(project).price_usd
    person = answer_when_it_waits(
        [{"approve": True, "approve_up_to_usd": 0.04}, {"approve": False, "approve_up_to_usd": 0.0}]
    )
    state = curate(".", return_state=True)
    person.join()
    change_parameters(
        project,
        instructions={"temperature": 0.7},
        purchase={"approve_above_usd": 0.001, "concurrency": 16},
    )
    assert state.name == "Declined", state.message
    assert totals(project).price_usd - before <= 0.04
