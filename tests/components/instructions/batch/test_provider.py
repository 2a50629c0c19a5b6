"""Batches through a real batch service on loopback, and through files that somebody else runs."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from components.instructions import purchase_loop
from components.instructions.batch.file import request_line, write_request_file
from components.instructions.batch.provider import batch_provider
from components.instructions.batch.service import BatchNotDoneError
from components.instructions.buy import InstructionError, buy_instructions
from components.instructions.endpoint.provider import openai_provider
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import BudgetSpentError, EndpointFailsError
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.imports_of import ROOT
from tests.instruction_server import RunningServer, running_instruction_server

PIXELS = 10**6


def batches_at(server, folder, *, changes=None, submit=True, **limits):
    write_template(folder / "prompts")
    asked = {"provider": "batch", "model": "test-model", "prompts": str(folder / "prompts"), **(changes or {})}
    parameters = instruction_parameters(**asked)
    batch = {"submit": submit, "poll_seconds": 0.02}
    purchase = purchase_parameters(**{"base_url": server.url, "prices": [PRICE], "batch": batch, **limits})
    return batch_provider(parameters, purchase, pixel_limit=PIXELS, folder=folder / "batches", requests_per_file=8)


def one_by_one_at(server, folder):
    parameters = instruction_parameters(
        provider="openai", model="test-model", prompts=str(write_template(folder / "prompts"))
    )
    purchase = purchase_parameters(base_url=server.url, prices=[PRICE], timeout_seconds=5.0)
    return openai_provider(parameters, purchase, pixel_limit=PIXELS)


def outcomes(bought):
    return sorted(bought.attempts["outcome"].to_pylist())


def test_requests_go_out_in_files_and_come_back_at_the_batch_price(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 20)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert bought.instructions.num_rows == 20
    assert len(list((tmp_path / "batches").glob("*.jsonl"))) == 3, "8 + 8 + 4"
    totals = ledger_totals(ledger)
    assert totals.price_usd == pytest.approx((totals.input_tokens * 3.0 + totals.output_tokens * 6.0) / 1e6 / 2)
    again = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert (again.asked, again.instructions) == (0, bought.instructions)
    assert len(server.accounts["charges"]) == 20


def test_what_was_bought_in_a_batch_is_not_bought_again_one_by_one(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 6)
    buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    one_by_one = one_by_one_at(server, tmp_path)
    assert buy_instructions(requests, provider=one_by_one, ledger=ledger).asked == 0


def test_only_what_is_missing_of_an_expired_batch_is_sent_again(tmp_path, ledger, server):
    server.behave(answered_share=0.75)
    requests = draw_requests(tmp_path / "images", 8)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert bought.instructions.num_rows == 8
    # 6 of 8, then 2 of 2 (0.75 x 2 rounds to 2).
    assert outcomes(bought) == ["answered"] * 8 + ["refused"] * 2
    assert len(server.accounts["charges"]) == 8


def test_lines_that_failed_are_sent_again_and_lines_that_came_twice_count_once(tmp_path, ledger, server):
    server.behave(failed_lines=3, repeat_lines=True)
    requests = draw_requests(tmp_path / "images", 8)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert outcomes(bought) == ["answered"] * 8 + ["refused"] * 3
    assert len(server.accounts["charges"]) == 8


def test_unusable_responses_are_repaired_in_the_next_batch(tmp_path, ledger):
    requests = draw_requests(tmp_path / "images", 8)
    with running_instruction_server("--faults", "wrong_schema", "--fault-rate", "0.5", "--seed", "4") as server:
        bought = buy_instructions(
            requests, provider=batches_at(server, tmp_path, changes={"repairs": 9}), ledger=ledger
        )
        charges, faults = server.accounts["charges"], server.accounts["faults"]["wrong_schema"]
    assert bought.instructions.num_rows == 8
    assert bought.attempts["kind"].to_pylist().count("repair") == faults > 0
    assert len(charges) == bought.attempts.num_rows


def test_a_batch_that_brings_nothing_usable_ends_the_run(tmp_path, ledger, monkeypatch):
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 5)
    requests = draw_requests(tmp_path / "images", 8)
    with (
        running_instruction_server("--faults", "refusal", "--fault-rate", "1") as server,
        pytest.raises(EndpointFailsError, match=r"5 attempts in a row .* refusal"),
    ):
        buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert ledger_totals(ledger).attempts == 8, "the batch is settled; no second one was sent"


def test_the_budget_limits_what_goes_into_files(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 20)
    with pytest.raises(BudgetSpentError):
        buy_instructions(
            requests, provider=batches_at(server, tmp_path, spend_at_most_usd=0.005), ledger=ledger, run="r"
        )
    totals = ledger_totals(ledger)
    assert 0 < totals.answered < 20
    assert totals.price_usd <= 0.005
    assert totals.pending == 0


def test_a_wrong_key_is_said_and_the_requests_can_be_sent_again(tmp_path, ledger, server, monkeypatch):
    requests = draw_requests(tmp_path / "images", 4)
    with running_instruction_server("--key", "right-key") as locked:
        monkeypatch.setenv("PRESEL_TEST_KEY", "right-key")
        bought = buy_instructions(requests, provider=batches_at(locked, tmp_path), ledger=ledger)
    assert bought.instructions.num_rows == 4
    gone = RunningServer("http://127.0.0.1:1/v1")
    with pytest.raises(EndpointFailsError, match="ConnectError"):
        buy_instructions(
            draw_requests(tmp_path / "more", 4, task="shape"), provider=batches_at(gone, tmp_path), ledger=ledger
        )
    with running_instruction_server() as back:
        later = buy_instructions(
            draw_requests(tmp_path / "more", 4, task="shape"), provider=batches_at(back, tmp_path), ledger=ledger
        )
    assert later.instructions.num_rows == 4


def test_the_same_file_is_run_offline(tmp_path, ledger, server):
    """`purchase.batch.submit: false`: the files are written, somebody runs them, the next run collects."""
    requests = draw_requests(tmp_path / "images", 12)
    with pytest.raises(BatchNotDoneError, match=r"12 requests are written.*\n  vllm run-batch -i .* --model test"):
        buy_instructions(requests, provider=batches_at(server, tmp_path, submit=False), ledger=ledger)
    with pytest.raises(BatchNotDoneError, match="12 requests"):
        buy_instructions(requests, provider=batches_at(server, tmp_path, submit=False), ledger=ledger)
    files = sorted((tmp_path / "batches").glob("*.jsonl"))
    assert len(files) == 2, "a second run writes nothing again"
    run_file(files[0], server)
    with pytest.raises(BatchNotDoneError):
        buy_instructions(requests, provider=batches_at(server, tmp_path, submit=False), ledger=ledger)
    run_file(files[1], server)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path, submit=False), ledger=ledger)
    assert bought.instructions.num_rows == 12
    assert outcomes(bought) == ["answered"] * 12


def run_file(file, server):
    """What `vllm run-batch` does: every line to the model, the replies beside the requests."""
    results = []
    for line in file.read_text().splitlines():
        asked = json.loads(line)
        assert (asked["method"], asked["url"]) == ("POST", "/v1/chat/completions")
        request = urllib.request.Request(
            server.url + "/chat/completions", json.dumps(asked["body"]).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            body = json.load(reply)
        response = {"status_code": 200, "request_id": "vllm-batch", "body": body}
        results.append(json.dumps({"id": "vllm", "custom_id": asked["custom_id"], "response": response, "error": None}))
    file.with_suffix(".results.jsonl").write_text("".join(result + "\n" for result in results))


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_request_file_is_there_whole_or_not_at_all(tmp_path, error):
    def lines():
        yield request_line("a", {"x": 1})
        raise error

    with pytest.raises(type(error)):
        write_request_file(tmp_path / "batches" / "a.jsonl", lines())
    assert list((tmp_path / "batches").iterdir()) == []
    write_request_file(tmp_path / "batches" / "a.jsonl", [request_line(one, {"x": 1}) for one in "ab"])
    [file] = (tmp_path / "batches").iterdir()
    assert [json.loads(line)["custom_id"] for line in file.read_text().splitlines()] == ["a", "b"]


def test_a_folder_that_takes_no_files_frees_the_requests(tmp_path, ledger, server):
    (tmp_path / "batches").write_text("not a folder")
    requests = draw_requests(tmp_path / "images", 4)
    with pytest.raises(OSError, match="batches"):
        buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    (tmp_path / "batches").unlink()
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert outcomes(bought) == ["answered"] * 4 + ["refused"] * 4


def test_a_provider_that_asks_one_by_one_says_that_requests_are_out_in_a_batch(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 4)
    with pytest.raises(BatchNotDoneError):
        buy_instructions(requests, provider=batches_at(server, tmp_path, submit=False), ledger=ledger)
    one_by_one = one_by_one_at(server, tmp_path)
    with pytest.raises(InstructionError, match=r"4 requests are out in a batch that has not been collected.*batch 1"):
        buy_instructions(requests, provider=one_by_one, ledger=ledger)
    assert server.accounts["received"] == 0


BUYER = """
import sys
from pathlib import Path
from components.instructions.buy import buy_instructions
from components.instructions.ledger.ledger import open_ledger
from tests.components.instructions.purchases import draw_requests
from tests.components.instructions.batch.test_provider import batches_at
from tests.instruction_server import RunningServer
folder = Path(sys.argv[1])
with open_ledger(f"sqlite:///{folder}/ledger.sqlite") as ledger:
    provider = batches_at(RunningServer(sys.argv[2]), folder)
    buy_instructions(draw_requests(folder / "images", 20), provider=provider, ledger=ledger)
"""


@pytest.mark.parametrize("batches", [pytest.param(1, marks=pytest.mark.soak), 3])
def test_a_purchase_that_is_killed_while_batches_run_goes_on_with_them(tmp_path, server, batches):
    server.behave(looks_until_done=10**9)
    draw_requests(tmp_path / "images", 20)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    buyer = subprocess.Popen([sys.executable, "-c", BUYER, str(tmp_path), server.url], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while handed_in(server) < batches:
        assert buyer.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    buyer.send_signal(signal.SIGKILL)
    buyer.wait()
    server.behave(looks_until_done=1)
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        bought = buy_instructions(
            draw_requests(tmp_path / "images", 20), provider=batches_at(server, tmp_path), ledger=ledger
        )
        assert bought.instructions.num_rows == 20
        assert ledger_totals(ledger).uncertain == 0
    assert len(server.accounts["charges"]) == 20, "no batch was handed in twice"


def handed_in(server):
    with urllib.request.urlopen(server.url + "/batches") as reply:
        return len(json.load(reply)["data"])
