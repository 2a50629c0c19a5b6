import logging
import threading
import time

import pytest

from components.instructions.buy import InstructionError, buy_instructions
from components.instructions.existing.provider import ExistingInstructions
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_cost, ledger_totals
from components.instructions.provider import Answer, Failure, Send
from components.instructions.request import InstructionRequest, RequestSpecification
from components.pool.samples import Dropped, Turn
from components.schemas import INSTRUCTIONS
from tests.components.instructions.conftest import conversation


class ScriptedProvider:
    """A second implementation of the protocol: answers one by one, can die, counts what it is asked."""

    name = "scripted"

    def __init__(self, *, dies_at: str = "", fails: str = "", forgets: str = "", seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.dies_at, self.fails, self.forgets = dies_at, fails, forgets
        self.asked: list[str] = []

    def at_hand(self, requests):
        return [False] * len(requests)

    def specify(self, requests):
        return [RequestSpecification(model="scripted") for _ in requests]

    def ask(self, requests, *, book):
        for identified in requests:
            name = identified.request.sample_id
            if not book.announce([Send(identified)])[0]:
                continue
            self.asked.append(name)
            time.sleep(self.seconds)
            if name == self.dies_at:
                raise ConnectionError("the network is down")
            if name == self.forgets:
                continue
            if name == self.fails:
                book.settle([Failure(identified.request_id, "schema", "not JSON", price_usd=0.5)])
            else:
                book.settle([Answer(identified.request_id, (Turn("q", name),), "m-1", "raw", 7, 3, 1.0)])


def requests(*names):
    return [InstructionRequest(f"t/{name}", "t", name * 4, f"{name}.png", (name,)) for name in names]


def test_the_second_run_asks_nothing_and_gives_the_same_table(ledger):
    first = ScriptedProvider(fails="t/b")
    bought = buy_instructions(requests("c", "b", "a"), provider=first, ledger=ledger, run="one")
    assert first.asked == ["t/c", "t/b", "t/a"]
    assert (bought.asked, bought.reused, bought.price_usd) == (3, 0, 2.5)

    second = ScriptedProvider()
    again = buy_instructions(requests("c", "b", "a"), provider=second, ledger=ledger, run="two")
    assert second.asked == []
    assert (again.asked, again.reused, again.price_usd, again.asked_again) == (0, 3, 0.0, ())
    assert again.instructions == bought.instructions
    assert again.dropped == bought.dropped == (Dropped("t/b", "schema", "not JSON"),)
    assert ledger_cost(ledger) == 2.5
    assert ledger_totals(ledger, run="two").attempts == 0


def test_the_table(ledger):
    table = buy_instructions(requests("b", "a"), provider=ScriptedProvider(), ledger=ledger).instructions
    assert table.schema == INSTRUCTIONS
    assert table["sample_id"].to_pylist() == ["t/a", "t/b"]
    row = table.to_pylist()[0]
    assert row["turns"] == [{"question": "q", "response": "t/a"}]
    assert (row["provider"], row["model"], row["price_usd"], row["attempts"]) == ("scripted", "m-1", 1.0, 1)


def test_a_grown_choice_pays_only_for_what_is_new(ledger):
    buy_instructions(requests("a", "b"), provider=ScriptedProvider(), ledger=ledger)
    provider = ScriptedProvider()
    result = buy_instructions(requests("a", "b", "c"), provider=provider, ledger=ledger)
    assert provider.asked == ["t/c"]
    assert result.instructions.num_rows == 3


def test_a_crash_between_asking_and_answer_is_asked_again_once_and_named(ledger, caplog):
    with pytest.raises(ConnectionError):
        buy_instructions(requests("a", "b", "c"), provider=ScriptedProvider(dies_at="t/b"), ledger=ledger)

    after = ScriptedProvider()
    with caplog.at_level(logging.WARNING):
        result = buy_instructions(requests("a", "b", "c"), provider=after, ledger=ledger)
    assert after.asked == ["t/b", "t/c"]  # not "a", which was answered and paid for
    assert result.asked_again == ("t/b",)
    assert "t/b" in caplog.text
    assert result.instructions["attempts"].to_pylist() == [1, 2, 1]
    assert ledger_cost(ledger) == 3.0

    last = ScriptedProvider()
    assert buy_instructions(requests("a", "b", "c"), provider=last, ledger=ledger).asked_again == ()
    assert last.asked == []


def test_a_provider_that_leaves_requests_open_is_an_error(ledger):
    with pytest.raises(InstructionError, match="no outcome for 1 of 2"):
        buy_instructions(requests("a", "b"), provider=ScriptedProvider(forgets="t/a"), ledger=ledger)


def test_no_instruction_at_all_is_an_error_that_counts_the_reasons(ledger):
    with pytest.raises(InstructionError, match=r"none of 1 samples.*schema 1.*not JSON"):
        buy_instructions(requests("a"), provider=ScriptedProvider(fails="t/a"), ledger=ledger)


def test_a_sample_twice_is_refused(ledger):
    with pytest.raises(ValueError, match="'t/a'"):
        buy_instructions(requests("a", "a"), provider=ScriptedProvider(), ledger=ledger)


def test_nothing_to_buy(ledger):
    result = buy_instructions([], provider=ScriptedProvider(), ledger=ledger)
    assert result.instructions.num_rows == 0
    assert result.dropped == ()


def test_progress_counts_what_was_there_already(ledger):
    buy_instructions(requests("a"), provider=ScriptedProvider(), ledger=ledger)
    seen = []
    buy_instructions(
        requests("a", "b", "c"),
        provider=ScriptedProvider(),
        ledger=ledger,
        progress=lambda done, total, note="": seen.append((done, total, note)),
    )
    assert seen == [(1, 3, ""), (2, 3, "$1.0000 spent"), (3, 3, "$2.0000 spent")]


def test_annotations_through_the_ledger(ledger, write_annotations, request_for):
    file = write_annotations(
        [
            {"id": "a", "image": "a.png", "conversations": conversation("q", "r")},
            {"id": "b", "image": "b.png", "conversations": conversation("q", "")},
        ]
    )
    wanted = [request_for("a.png"), request_for("b.png"), request_for("c.png")]

    def buy():
        provider = ExistingInstructions([file], price_per_instruction_usd=0.02)
        return buy_instructions(wanted, provider=provider, ledger=ledger)

    first, second = buy(), buy()
    assert (first.asked, second.asked) == (3, 0)
    assert first.instructions == second.instructions
    assert sorted(dropped.reason for dropped in first.dropped) == ["empty_response", "no_annotation"]
    assert ledger_cost(ledger) == 0.02

    # The annotator hands in what was missing: that alone is asked, and booked.
    file = write_annotations(
        [
            {"id": "a", "image": "a.png", "conversations": conversation("q", "r")},
            {"id": "b", "image": "b.png", "conversations": conversation("q", "now")},
        ]
    )
    third = buy()
    assert (third.asked, third.reused, third.price_usd) == (1, 2, 0.02)
    assert third.instructions.num_rows == 2


def test_two_runs_at_once_buy_each_instruction_once(url):
    providers = [ScriptedProvider(seconds=0.05), ScriptedProvider(seconds=0.05)]
    bought = []

    def run(provider):
        with open_ledger(url) as own:
            bought.append(buy_instructions(requests(*"abcdef"), provider=provider, ledger=own))

    threads = [threading.Thread(target=run, args=(provider,)) for provider in providers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(providers[0].asked + providers[1].asked) == [f"t/{name}" for name in "abcdef"]
    assert bought[0].instructions == bought[1].instructions
