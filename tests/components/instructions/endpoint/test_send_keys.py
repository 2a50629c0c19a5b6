"""An endpoint that says to a known Idempotency-Key what it said before: nothing is charged twice, nothing is stuck."""

import dataclasses

import pytest

from components.instructions import purchase_loop
from components.instructions.buy import buy_instructions
from components.instructions.endpoint.provider import openai_provider
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.components.instructions.scripted_server import ScriptedReply, completion, conversation, scripted_server

GOOD = ScriptedReply(200, completion(conversation()))
BUSY = ScriptedReply(503, b'{"error": {"message": "busy"}}')
NOT_GZIP = dataclasses.replace(GOOD, headers={"Content-Encoding": "gzip"})
CUT = ScriptedReply(200, GOOD.body[:40])
ERROR = ScriptedReply(200, b'{"error": {"message": "upstream"}}')
LATE_ERROR = ScriptedReply(200, b'{"error": {"message": "upstream", "code": 504}}')
LIMITED = ScriptedReply(429, b'{"error": {"message": "slowly"}}')
TOO_LATE = ScriptedReply(408, b'{"error": {"message": "slow"}}')
NO_CHOICES = ScriptedReply(200, b'{"choices": []}')
SLOW = dataclasses.replace(GOOD, drip_seconds=0.1)
CONFLICT = ScriptedReply(409, b'{"error": {"message": "a send with this key is in progress"}}')


@pytest.fixture
def buy(tmp_path, ledger, monkeypatch):
    """Buy one instruction of an endpoint that keeps what it said to each key; returns the numbers of all keys."""
    monkeypatch.setenv("PRESEL_TEST_KEY", "any")
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 4)
    parameters = instruction_parameters(
        provider="openai", model="test-model", prompts=str(write_template(tmp_path / "prompts"))
    )
    kept = {}
    numbers = []

    def buy(*replies, forgets=()):
        left = list(replies)

        def script(number, _):
            key = server.send_keys[number]
            if key not in kept:
                reply = left.pop(0)
                if reply in forgets:
                    return reply
                kept[key] = reply
            return kept[key]

        with scripted_server(script) as server:
            purchase = purchase_parameters(base_url=server.url, prices=[PRICE], timeout_seconds=0.5)
            provider = openai_provider(parameters, purchase, pixel_limit=10**6)
            try:
                buy_instructions(draw_requests(tmp_path / "images", 1), provider=provider, ledger=ledger)
            finally:
                numbers.extend([int(key.rpartition("-")[2]) for key in server.send_keys])
        return numbers

    return buy


def test_what_was_said_once_and_not_charged_is_not_asked_for_again(buy, ledger):
    assert buy(BUSY, BUSY, GOOD) == [0, 1, 2]
    assert ledger_totals(ledger).answered == 1


@pytest.mark.parametrize("said", [BUSY, LIMITED], ids=["503", "429"])
def test_what_may_be_charged_is_not_left_for_an_endpoint_that_is_busy(buy, ledger, said):
    """The reply is kept under the key of the send that was too slow; a gateway before it says that it is busy."""
    assert buy(SLOW, said, said, GOOD, forgets=(SLOW, said)) == [0, 0, 0, 0]
    assert ledger_totals(ledger).answered == 1


@pytest.mark.parametrize(
    "said",
    [CUT, NOT_GZIP, NO_CHOICES, ERROR, LATE_ERROR],
    ids=["cut", "not what its header says", "no choices", "an error with 200", "its time-out with 200"],
)
def test_what_cannot_be_read_is_asked_for_twice_more_and_then_anew(buy, ledger, said):
    assert buy(said, GOOD) == [0, 0, 0, 1]
    assert ledger_totals(ledger).answered == 1


@pytest.mark.parametrize("said", [SLOW, CONFLICT], ids=["too slow", "in progress"])
def test_where_nobody_knows_what_was_said_the_key_stays(buy, said):
    assert buy(said, GOOD, forgets=(said,)) == [0, 0]


def test_a_conflict_that_never_ends_is_left_behind(buy, ledger):
    """The send that holds the key was killed at the endpoint, or its body is another."""
    assert buy(CONFLICT, GOOD) == [0, 0, 0, 1]
    assert ledger_totals(ledger).answered == 1


def test_another_run_goes_on_with_keys_that_were_not_replied_to(buy, ledger):
    with pytest.raises(EndpointFailsError) as stopped:
        buy(*[BUSY] * 4)
    assert isinstance(stopped.value, PurchaseStoppedError), "a person looks; it is not tried again by itself"
    assert buy(GOOD) == [0, 1, 2, 3, 4]
    assert ledger_totals(ledger).answered == 1


def test_another_run_goes_on_where_what_came_could_not_be_read(buy, ledger):
    with pytest.raises(EndpointFailsError):
        buy(CUT, CUT)
    assert buy(GOOD) == [0, 0, 0, 1, 1, 1, 2]
    assert ledger_totals(ledger).answered == 1


def test_another_run_keeps_the_key_of_which_nobody_knows_what_was_said(buy):
    with pytest.raises(EndpointFailsError):
        buy(*[TOO_LATE] * 4, forgets=(TOO_LATE,))
    assert buy(GOOD) == [0] * 5


def test_another_run_has_another_key_after_a_time_out_that_came_as_an_answer(buy):
    with pytest.raises(EndpointFailsError):
        buy(LATE_ERROR, LATE_ERROR)
    assert buy(GOOD) == [0, 0, 0, 1, 1, 1, 2]
