"""Lines that fail within a batch: one never goes round for ever, and where all fail nothing is given up."""

import json
import re

import pytest

from components.instructions import purchase_loop
from components.instructions.batch.service import BatchNotDoneError, BatchResults, EndpointBatches
from components.instructions.buy import buy_instructions
from components.instructions.endpoint.reply_reader import EndpointRefusedError
from components.instructions.ledger.tables import BATCHES
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import EndpointFailsError
from tests.components.instructions.batch.test_provider import batches_at, outcomes
from tests.components.instructions.purchases import draw_requests
from tests.components.instructions.scripted_server import completion, conversation
from tests.instruction_server import RunningServer

NOBODY = RunningServer("http://127.0.0.1:9/v1")
GOOD = {"response": {"status_code": 200, "body": json.loads(completion(conversation()))}, "error": None}
FAILS = {
    "500": {"response": {"status_code": 500, "body": None}, "error": {"message": "boom", "code": 500}},
    "400": {"response": {"status_code": 400, "body": None}, "error": {"message": "too long", "code": 400}},
    "an error alone": {"response": None, "error": {"code": "internal", "message": "boom"}},
    "an error as text": {"response": None, "error": "boom"},
    "no choices": {"response": {"status_code": 200, "body": {"choices": []}}},
    "half an answer": {
        "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "A"}, "finish_reason": "error"}]}}
    },
}


@pytest.fixture
def in_files(tmp_path, ledger):
    """Runs presel and whoever runs the files, in turns, until presel is through; the rounds it took are counted."""

    class InFiles:
        rounds = 0
        folder = tmp_path / "batches"

        def step(self, count):
            requests = draw_requests(tmp_path / "images", count)
            provider = batches_at(NOBODY, tmp_path, submit=False)
            return buy_instructions(requests, provider=provider, ledger=ledger, run=f"run {self.rounds}")

        def answer(self, line_of):
            for file in (tmp_path / "batches").glob("*.jsonl"):
                results = file.with_suffix(".results.jsonl")
                if file.name.endswith(".results.jsonl") or results.exists():
                    continue
                ids = [json.loads(line)["custom_id"] for line in file.read_text().splitlines()]
                results.write_text("".join(json.dumps({"custom_id": one, **line_of(one)}) + "\n" for one in ids))

        def until_through(self, count, line_of):
            while True:
                try:
                    return self.step(count)
                except BatchNotDoneError:
                    self.rounds += 1
                    assert self.rounds < 20, "it goes round for ever"
                    self.answer(line_of)

    return InFiles()


def for_some(line, many):
    """The first so many requests that are asked about always get a line; the others are answered."""
    unlucky: list[str] = []

    def line_of(request_id):
        if request_id not in unlucky and len(unlucky) < many:
            unlucky.append(request_id)
        return line if request_id in unlucky else GOOD

    return line_of


@pytest.mark.parametrize("many", [1, 2])
@pytest.mark.parametrize("name", sorted(FAILS))
def test_lines_that_always_fail_are_left_out_after_some_rounds(in_files, ledger, monkeypatch, name, many):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    bought = in_files.until_through(6, for_some(FAILS[name], many))
    assert (bought.instructions.num_rows, len(bought.dropped)) == (6 - many, many)
    assert in_files.rounds <= 3
    assert in_files.step(6).asked == 0


@pytest.mark.parametrize(("name", "count"), list(zip(sorted(FAILS), (1, 3, 9, 1, 3, 9), strict=True)))
def test_where_every_line_fails_the_run_says_why_and_nothing_is_given_up(in_files, ledger, name, count):
    for _ in range(2):
        with pytest.raises(BatchNotDoneError):
            in_files.step(count)
        in_files.answer(lambda _: FAILS[name])
        with pytest.raises(EndpointFailsError, match=r"of a batch had a reply \(the last: .*nothing is given up"):
            in_files.step(count)
    assert (ledger_totals(ledger).quarantined, ledger_totals(ledger).pending) == (0, count)
    assert in_files.until_through(count, lambda _: GOOD).instructions.num_rows == count


def test_a_service_whose_every_line_fails_is_asked_once(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 8)
    for status, error in ((400, EndpointFailsError), (500, EndpointFailsError), (403, EndpointRefusedError)):
        server.behave(line_status=status)
        with pytest.raises(error, match=f"HTTP {status}: made to fail"):
            buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    with ledger.engine.connect() as connection:
        assert len(connection.execute(BATCHES.select()).all()) == 3
    server.behave(line_status=200)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert outcomes(bought) == ["answered"] * 8 + ["refused"] * 24


def test_what_is_counted_as_completed_and_stands_in_the_error_file_goes_on(tmp_path, ledger, server):
    server.behave(miscounted_lines=1)
    requests = draw_requests(tmp_path / "images", 4)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert outcomes(bought) == ["answered"] * 4 + ["refused"]
    assert len(server.accounts["charges"]) == 4


def test_results_that_are_cut_short_are_not_taken_for_miscounted(tmp_path, ledger, server):
    server.behave(answered_share=0.75, cut=0.6)
    requests = draw_requests(tmp_path / "images", 8)
    with pytest.raises(EndpointFailsError, match="the batch stays open"):
        buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    server.behave(answered_share=1.0, cut=1.0)
    bought = buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert bought.instructions.num_rows == 8
    assert len(server.accounts["charges"]) == 8


def test_a_line_that_fails_alone_in_its_batch_does_not_go_round_for_ever(in_files, monkeypatch):
    """Of nine the ninth has a file of its own: nobody is answered in its batches."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    alone = []

    def line_of(request_id):
        return FAILS["500"] if request_id in alone else GOOD

    with pytest.raises(BatchNotDoneError):
        in_files.step(9)
    for file in in_files.folder.glob("*.jsonl"):
        lines = file.read_text().splitlines()
        alone += [json.loads(line)["custom_id"] for line in lines if len(lines) == 1]
    assert len(alone) == 1
    bought = in_files.until_through(9, line_of)
    assert (bought.instructions.num_rows, [one.reason for one in bought.dropped]) == (8, ["server_error"])


def test_a_second_file_that_fails_as_a_whole_is_not_sent_again_and_nothing_is_given_up(in_files, ledger):
    """The first file is answered; then nothing is any more."""
    with pytest.raises(BatchNotDoneError):
        in_files.step(12)
    files = sorted(in_files.folder.glob("*.jsonl"), key=lambda file: -len(file.read_text().splitlines()))
    first = {json.loads(line)["custom_id"] for line in files[0].read_text().splitlines()}
    in_files.answer(lambda request_id: GOOD if request_id in first else FAILS["500"])
    for _ in range(7):
        with pytest.raises(EndpointFailsError, match=r"not one of \d requests of a batch .*nothing is given up"):
            in_files.step(12)
        with pytest.raises(BatchNotDoneError):
            in_files.step(12)
        in_files.answer(lambda _: FAILS["500"])
    assert (ledger_totals(ledger).answered, ledger_totals(ledger).quarantined) == (8, 0)


def test_a_second_file_that_fails_as_a_whole_while_the_first_is_answered_is_handed_in_once(
    tmp_path, ledger, server, monkeypatch
):
    """Both are out at the same time, at a service."""
    results, calls = EndpointBatches.results, []

    async def fail_but_the_first(own, reference, request_ids):
        calls.append(reference)
        found = await results(own, reference, request_ids)
        whole = reference == calls[0]
        return (
            found
            if whole
            else BatchResults(tuple(re.sub('"status_code": ?200', '"status_code":500', text) for text in found.texts))
        )

    monkeypatch.setattr(EndpointBatches, "results", fail_but_the_first)
    requests = draw_requests(tmp_path / "images", 12)
    with pytest.raises(EndpointFailsError, match=r"not one of 4 requests of a batch .*nothing is given up"):
        buy_instructions(requests, provider=batches_at(server, tmp_path), ledger=ledger)
    assert len(calls) == 2
    assert (ledger_totals(ledger).answered, ledger_totals(ledger).quarantined) == (8, 0)


@pytest.mark.parametrize("name", ["500", "400"])
def test_a_batch_that_is_answered_by_half_before_an_outage_gives_nothing_up(in_files, ledger, monkeypatch, name):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    with pytest.raises(BatchNotDoneError):
        in_files.step(8)
    in_files.answer(for_some(FAILS["500"], 4))
    for _ in range(5):
        with pytest.raises((BatchNotDoneError, EndpointFailsError)):
            in_files.step(8)
        in_files.answer(lambda _: FAILS[name])
    assert ledger_totals(ledger).quarantined == 0
    with pytest.raises((BatchNotDoneError, EndpointFailsError)):
        in_files.step(8)
    in_files.answer(lambda _: GOOD)
    assert in_files.until_through(8, lambda _: GOOD).instructions.num_rows == 8


def test_a_second_file_of_requests_that_always_fail_is_given_up_while_a_witness_is_answered(in_files, monkeypatch):
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    with pytest.raises(BatchNotDoneError):
        in_files.step(12)
    smallest = min((file.read_text().splitlines() for file in in_files.folder.glob("*.jsonl")), key=len)
    always = {json.loads(line)["custom_id"] for line in smallest}
    in_files.answer(lambda request_id: FAILS["500"] if request_id in always else GOOD)
    with pytest.raises(EndpointFailsError, match="not one of 4 requests"):
        in_files.step(12)
    bought = in_files.until_through(12, lambda request_id: FAILS["500"] if request_id in always else GOOD)
    assert (bought.instructions.num_rows, len(bought.dropped)) == (8, 4)
