"""Buying from a real HTTP server on loopback that fails on demand and counts what it charges."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from components.instructions import purchase_loop
from components.instructions.buy import buy_instructions
from components.instructions.endpoint.provider import openai_provider
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import registered_worker
from components.instructions.provider import Send, Setback
from components.instructions.purchase_errors import EndpointFailsError
from components.instructions.request import InstructionRequest, identify_request
from components.instructions.spending.prices import UnknownPriceError
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.instruction_server import running_instruction_server

KEY = "test-key-never-to-be-written"
PIXELS = 10**6


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", KEY)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def prompts(tmp_path):
    return write_template(tmp_path / "prompts")


def provider(server, prompts, *, changes=None, **limits):
    parameters = instruction_parameters(provider="openai", model="test-model", prompts=str(prompts), **(changes or {}))
    purchase = purchase_parameters(base_url=server.url, prices=[PRICE], **limits)
    return openai_provider(parameters, purchase, pixel_limit=PIXELS)


def test_every_instruction_is_bought_once(tmp_path, ledger, prompts):
    requests = draw_requests(tmp_path / "images", 40)
    with running_instruction_server() as server:
        bought = buy_instructions(requests, provider=provider(server, prompts), ledger=ledger, run="one")
        again = buy_instructions(requests, provider=provider(server, prompts), ledger=ledger, run="two")
        accounts = server.accounts
    assert bought.instructions.num_rows == 40
    assert again.instructions == bought.instructions
    assert len(accounts["charges"]) == 40
    totals = ledger_totals(ledger)
    assert totals.input_tokens == sum(charge["prompt_tokens"] for charge in accounts["charges"])
    assert totals.output_tokens == sum(charge["completion_tokens"] for charge in accounts["charges"])
    expected = (totals.input_tokens * 3.0 + totals.output_tokens * 6.0) / 1e6
    assert totals.price_usd == pytest.approx(expected)
    row = bought.instructions.to_pylist()[0]
    assert row["turns"][0]["response"] == f"This is image {row['image_sha'][:12]}."
    assert (row["provider"], row["model"], row["attempts"]) == ("openai", "test-model", 1)


@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        ("rate_limited", {"refused"}),
        ("rate_limited_with_wait", {"refused"}),
        ("server_error", {"refused"}),
        ("slow", set()),
        ("hang", {"unknown"}),
        ("drop", {"unknown"}),
        ("invalid_body", {"unknown"}),
        ("invalid_json", {"unusable"}),
        ("wrong_schema", {"unusable"}),
        ("refusal", {"unusable"}),
        ("duplicate", set()),
    ],
)
def test_each_fault_is_survived_and_named(tmp_path, ledger, prompts, fault, outcomes):
    requests = draw_requests(tmp_path / "images", 12)
    faulty = ("--faults", fault, "--fault-rate", "0.4", "--seed", "5")
    with running_instruction_server(*faulty) as server:
        bought = buy_instructions(requests, provider=provider(server, prompts, changes={"repairs": 9}), ledger=ledger)
        accounts, per_send = server.accounts, server.charges_per_send
    assert accounts["faults"][fault] > 0
    assert bought.instructions.num_rows == 12
    assert set(bought.attempts["outcome"].to_pylist()) == {"answered"} | outcomes
    assert max(per_send.values()) == 1, "no send is charged twice by an endpoint that knows its key"
    if outcomes == {"unusable"}:
        assert accounts["faults"][fault] == sum(name == "unusable" for name in bought.attempts["outcome"].to_pylist())
        assert len(accounts["charges"]) == bought.attempts.num_rows
        assert bought.attempts["kind"].to_pylist().count("repair") == accounts["faults"][fault]


def test_retry_after_is_honoured(tmp_path, ledger, prompts):
    """One request in flight, every other reply asks to wait for 0.2 s: the waits are at least that."""
    import time

    requests = draw_requests(tmp_path / "images", 4)
    with running_instruction_server(
        "--faults", "rate_limited_with_wait", "--fault-rate", "0.5", "--seed", "1"
    ) as server:
        began = time.monotonic()
        buy_instructions(requests, provider=provider(server, prompts, concurrency=1), ledger=ledger)
        seconds = time.monotonic() - began
        waits = server.accounts["faults"]["rate_limited_with_wait"]
    assert waits >= 2
    assert seconds >= 0.2 * waits


def test_a_reply_that_another_purchase_paid_for_meanwhile_is_sent_back_and_not_bought_again(
    tmp_path, ledger, prompts, monkeypatch
):
    """It came after this purchase had looked what there is, from one that then was killed."""
    requests = draw_requests(tmp_path / "images", 3)
    look = LedgerBook.unusable_replies
    others: list[str] = []

    def look_while_another_buys(book, request_ids):
        found = look(book, request_ids)
        if not others:
            others.append(request_ids[1])
            with registered_worker(ledger, run="other") as worker:
                other = LedgerBook(ledger, provider="openai", run="other", worker=worker)
                [identified] = [one for one in wanted if one.request_id == request_ids[1]]
                other.announce([Send(identified, replies=0)])
                other.settle([Setback(request_ids[1], "unusable", "not_json", "no JSON", "{", 70, 9, 0.001)])
        return found

    monkeypatch.setattr(LedgerBook, "unusable_replies", look_while_another_buys)
    with running_instruction_server() as server:
        asking = provider(server, prompts)
        wanted = [identify_request(one, spec) for one, spec in zip(requests, asking.specify(requests), strict=True)]
        bought = buy_instructions(requests, provider=asking, ledger=ledger, run="this")
        keys = sorted(charge["key"] for charge in server.accounts["charges"])
    assert bought.instructions.num_rows == 3
    numbers = {one.request_id: 1 if one.request_id in others else 0 for one in wanted}
    assert keys == sorted(f"{request_id}-{number}" for request_id, number in numbers.items())
    sent = [row for row in bought.attempts.to_pylist() if row["request_id"] in others]
    assert [(row["kind"], row["outcome"]) for row in sent] == [("first", "unusable"), ("repair", "answered")]


def test_no_reply_after_all_attempts_leaves_the_request_open(tmp_path, ledger, prompts, monkeypatch):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    requests = draw_requests(tmp_path / "images", 5)
    with running_instruction_server("--faults", "server_error", "--fault-rate", "1") as server:
        failing = provider(server, prompts)
        with pytest.raises(EndpointFailsError, match=r"5 of 5 requests had no reply after 3 attempts .*HTTP 500"):
            buy_instructions(requests, provider=failing, ledger=ledger)
    totals = ledger_totals(ledger)
    assert (totals.pending, totals.attempts, totals.price_usd) == (5, 15, 0)
    with running_instruction_server() as server:
        assert buy_instructions(requests, provider=provider(server, prompts), ledger=ledger).instructions.num_rows == 5


def test_a_wrong_key_stops_at_once_and_is_not_repeated(tmp_path, ledger, prompts):
    requests = draw_requests(tmp_path / "images", 30)
    with running_instruction_server("--key", "another") as server:
        with pytest.raises(EndpointRefusedError, match=r"HTTP 401: Incorrect API key provided: \[key\]") as caught:
            buy_instructions(requests, provider=provider(server, prompts, concurrency=4), ledger=ledger)
        assert server.accounts["received"] <= 4
    assert KEY not in str(caught.value)
    for file in tmp_path.glob("ledger.sqlite*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes()


def test_a_missing_key_is_named(tmp_path, ledger, prompts, monkeypatch):
    monkeypatch.delenv("PRESEL_TEST_KEY")
    requests = draw_requests(tmp_path / "images", 1)
    with (
        running_instruction_server() as server,
        pytest.raises(EndpointRefusedError, match="PRESEL_TEST_KEY holds no key"),
    ):
        buy_instructions(requests, provider=provider(server, prompts), ledger=ledger)
    assert ledger_totals(ledger).attempts == 0


def test_no_server_is_a_connection_that_was_refused_and_cost_nothing(tmp_path, ledger, prompts, monkeypatch):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 2)
    from tests.instruction_server import RunningServer

    requests = draw_requests(tmp_path / "images", 2)
    nobody = provider(RunningServer("http://127.0.0.1:1/v1"), prompts)
    with pytest.raises(EndpointFailsError, match="ConnectError"):
        buy_instructions(requests, provider=nobody, ledger=ledger)
    assert ledger_totals(ledger).uncertain == 0


def test_an_unknown_price_is_an_error(prompts):
    parameters = instruction_parameters(provider="openai", model="brand-new", prompts=str(prompts))
    with pytest.raises(UnknownPriceError, match=r"no price of model 'brand-new' \(priced: test-model\)"):
        openai_provider(parameters, purchase_parameters(prices=[PRICE]), pixel_limit=PIXELS)


def test_an_image_that_changed_is_dropped_and_not_sent(tmp_path, ledger, prompts):
    requests = draw_requests(tmp_path / "images", 3)
    Image.new("RGB", (9, 9), "red").save(requests[1].uri)
    Path(requests[2].uri).unlink()
    with running_instruction_server() as server:
        bought = buy_instructions(requests, provider=provider(server, prompts), ledger=ledger)
        assert server.accounts["received"] == 1
    assert {dropped.reason for dropped in bought.dropped} == {"changed", "missing"}


def test_a_rate_limit_is_kept(tmp_path, ledger, prompts):
    """60 requests a minute, of which a tenth may come at once: 9 requests take at least (9 - 6) / 54 of a minute."""
    import time

    requests = draw_requests(tmp_path / "images", 9)
    with running_instruction_server() as server:
        began = time.monotonic()
        buy_instructions(requests, provider=provider(server, prompts, requests_per_minute=60), ledger=ledger)
    assert time.monotonic() - began >= 60 * 3 / 54 * 0.95


def test_the_body_holds_the_image_the_prompt_and_the_schema(tmp_path, prompts):
    from components.instructions.chat import chat_body, chat_specification
    from components.instructions.request import identify_request
    from components.instructions.sent_image import prepare_image

    path = tmp_path / "large.png"
    Image.new("RGB", (400, 100), "navy").save(path)
    import hashlib

    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    request = InstructionRequest("chart/x", "chart", sha, str(path), ())
    parameters = instruction_parameters(
        provider="openai", model="test-model", prompts=str(prompts), image_limit=200, structured_output="json_schema"
    )
    identified = identify_request(request, chat_specification(request, parameters))
    image = prepare_image(str(path), image_sha=sha, limit=200, pixel_limit=PIXELS)
    body = json.loads(json.dumps(chat_body(identified, image, output_limit="max_completion_tokens")))
    picture = body["messages"][-1]["content"][0]["image_url"]["url"]
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as sent:
        assert (sent.size, sent.format) == ((200, 50), "JPEG")
    assert "chart" in body["messages"][-1]["content"][1]["text"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["turns"]
    assert (body["model"], body["max_completion_tokens"]) == ("test-model", 512)


def test_a_placeholder_for_a_key_is_not_taken_out_of_answers(tmp_path, ledger, prompts, monkeypatch):
    """A server without keys gets any text; "is" stands in every answer of the server."""
    monkeypatch.setenv("PRESEL_TEST_KEY", "is")
    requests = draw_requests(tmp_path / "images", 2)
    with running_instruction_server() as server:
        bought = buy_instructions(requests, provider=provider(server, prompts), ledger=ledger)
    assert bought.instructions["turns"].to_pylist()[0][0]["question"] == "Which image is this?"
