"""The rules of a purchase, against a sender whose replies are scripted: they hold for every provider that is paid."""

import asyncio
import itertools
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from components.instructions import purchase_loop
from components.instructions.buy import BuyResult, InstructionError, buy_instructions
from components.instructions.ledger.ledger import Ledger
from components.instructions.ledger.tables import ATTEMPTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import BudgetSpentError, EndpointFailsError, PurchaseStoppedError
from components.instructions.reply import Reply, SendFailure
from components.instructions.sender import GroupResult
from tests.components.instructions.conftest import instruction_parameters
from tests.components.instructions.purchases import draw_requests, write_template
from tests.components.instructions.scripted_sender import BROKEN, GOOD, REFUSED, REJECTED, ScriptedSender

Buy = Callable[..., BuyResult]
WAYS: list[dict[str, int]] = [{}, {"groups_in_flight": 4}, {"group_size": 3}, {"group_size": 3, "groups_in_flight": 4}]


NAMES = ["alone", "alone, in parallel", "in groups", "in groups, in parallel"]
BETWEEN = NAMES[1:3]  # what they have is in the last too


@pytest.fixture(
    params=[
        pytest.param(way, marks=[pytest.mark.soak] if name in BETWEEN else [], id=name)
        for way, name in zip(WAYS, NAMES, strict=True)
    ]
)
def way(request: pytest.FixtureRequest) -> dict[str, int]:
    """How requests are sent; no rule depends on it."""
    way: dict[str, int] = request.param
    return way


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ScriptedSender]:
    prompts = write_template(tmp_path / "prompts")

    def make(script: Any, *, repairs: int = 1, **options: Any) -> ScriptedSender:
        parameters = instruction_parameters(
            provider="openai", model="test-model", prompts=str(prompts), repairs=repairs
        )
        return ScriptedSender(script, parameters, **options)

    return make


@pytest.fixture
def buy(tmp_path: Path, ledger: Ledger) -> Buy:
    def buy(sender: ScriptedSender, count: int, *, run: str = "r") -> BuyResult:
        return buy_instructions(draw_requests(tmp_path / "images", count), provider=sender, ledger=ledger, run=run)

    return buy


def sends(ledger: Ledger) -> list[list[tuple[str, str]]]:
    """Kind and outcome of every send, request by request."""
    found: dict[str, list[tuple[str, str]]] = {}
    with ledger.engine.connect() as connection:
        for row in connection.execute(select(ATTEMPTS).order_by(ATTEMPTS.c.request_id, ATTEMPTS.c.number)):
            found.setdefault(row.request_id, []).append((row.kind, row.outcome))
    return sorted(found.values())


def test_everything_is_bought_once(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    sender = make(lambda *_: GOOD, **way)
    assert buy(sender, 10).instructions.num_rows == 10
    assert max(len(group) for group in sender.groups) == way.get("group_size", 1)
    assert buy(sender, 10).asked == 0
    assert sends(ledger) == [[("first", "answered")]] * 10


def test_what_was_answered_before_an_outage_does_not_speak_for_it(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger
) -> None:
    """Three are in flight, one is answered, then nobody is any more, in this purchase nor in the next."""
    sent = itertools.count()
    sender = make(lambda *_: REFUSED, groups_in_flight=3)
    scripted = sender.send

    async def send(group: Any, batch: Any) -> GroupResult:
        number = next(sent)
        if number < 3:
            await asyncio.sleep(0.05 if number == 0 else 0.5)
        return GroupResult([GOOD]) if number == 0 else await scripted(group, batch)

    sender.send = send  # type: ignore[method-assign]
    for run in ("one", "two"):
        with pytest.raises((EndpointFailsError, InstructionError)):
            buy(sender, 3, run=run)
        totals = ledger_totals(ledger)
        assert (totals.answered, totals.quarantined) == (1, 0)


def test_a_broken_reply_is_sent_back_until_repairs_are_used_up(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    bought = buy(make(failing_for_one(BROKEN), repairs=2, **way), 5)
    given_up = [("first", "unusable"), ("repair", "unusable"), ("repair", "failed")]
    assert sends(ledger) == [[("first", "answered")]] * 4 + [given_up]
    assert [(one.reason, one.detail[:20]) for one in bought.dropped] == [("not_json", "the response is not ")]
    assert ledger_totals(ledger).price_usd == pytest.approx(7 * (100 * 3 + 20 * 6) / 1e6)


@pytest.mark.parametrize("text", ["no JSON", ""])
def test_where_no_reply_is_usable_nothing_is_given_up_nor_paid_for_again_unasked(
    make: Callable[..., ScriptedSender], ledger: Ledger, way: dict[str, int], tmp_path: Path, text: str
) -> None:
    requests = draw_requests(tmp_path / "images", 4)

    def buy(reply: Reply, **options: Any) -> BuyResult:
        sender = make(lambda *_: reply, **way)
        return buy_instructions(requests[: options.pop("count", 4)], provider=sender, ledger=ledger, **options)

    broken = replace(BROKEN, text=text)
    for sent in (8, 8):  # with one repair each; the second time nothing is sent
        with pytest.raises(EndpointFailsError, match=r"the replies to 4 of 4 requests break a rule, .*--refresh"):
            buy(broken)
        totals = ledger_totals(ledger)
        assert (totals.quarantined, totals.pending, totals.attempts) == (0, 4, sent)
    with pytest.raises(EndpointFailsError):
        buy(broken, ask_again=True)
    assert (ledger_totals(ledger).quarantined, ledger_totals(ledger).attempts) == (0, 12), "once more, when asked to"
    assert buy(GOOD, count=2, ask_again=True).instructions.num_rows == 2
    bought = buy(GOOD)
    assert len(bought.dropped) == 2, "one of those that were answered is asked, and the others are at fault"
    assert [row["kind"] for row in bought.attempts.to_pylist()].count("witness") == 1


def sends_but_a_witness(ledger: Ledger, way: dict[str, int]) -> list[list[tuple[str, str]]]:
    """Where many are sent side by side all may be on their way before one is known to fail; then one is asked again."""
    witness, found = ("witness", "answered"), sends(ledger)
    assert sum(asked.count(witness) for asked in found) <= (way.get("groups_in_flight", 1) > 1)
    return sorted([one for one in asked if one != witness] for asked in found)


def failing_for_one(failure: Reply | SendFailure) -> Callable[[int, str], Reply | SendFailure]:
    """The first sample that is sent always fails."""
    unlucky: list[str] = []

    def script(_: int, name: str) -> Reply | SendFailure:
        unlucky.append(name)
        return failure if name == unlucky[0] else GOOD

    return script


def test_one_that_always_fails_is_given_up_while_others_are_answered(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    sender = make(failing_for_one(REFUSED), **way)
    bought = buy(sender, 30)
    assert [(one.reason, one.detail) for one in bought.dropped] == [("server_error", "HTTP 500: made to fail")]
    given_up = [("first", "refused"), ("retry", "refused"), ("retry", "failed")]
    assert sends_but_a_witness(ledger, way) == [[("first", "answered")]] * 29 + [given_up]
    assert sender.groups[-2] == [bought.dropped[0].sample_id], "the last time when all others but one are through"
    assert len(sender.groups[-1]) == 1, "one that was never sent has waited, or a witness"
    assert buy(make(lambda *_: GOOD, **way), 30).asked == 0, "it is not asked for again by itself"


@pytest.mark.parametrize("way", [WAYS[0], WAYS[3]], ids=["alone", "in groups, in parallel"])
@pytest.mark.parametrize("tries", [1, pytest.param(2, marks=pytest.mark.soak), 3])
@pytest.mark.parametrize("before", ["others are answered", "an outage", "others are answered in another run"])
def test_an_outage_that_begins_with_the_last_try_of_one_gives_nothing_up(
    make: Callable[..., ScriptedSender],
    buy: Buy,
    ledger: Ledger,
    way: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    tries: int,
    before: str,
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", tries)
    sent: list[str] = []
    ended = SendFailure("account", "away", "", error=PurchaseStoppedError("ended"))

    def script(number: int, name: str) -> Reply | SendFailure:
        sent.append(name)
        if sent.count(sent[0]) >= tries:
            return REFUSED
        if before == "others are answered in another run" and number == 6:
            return ended
        fails = name == sent[0] or (before == "an outage" and number < 4)
        return REFUSED if fails else GOOD

    for run in ("one", "two", "three"):
        with pytest.raises((EndpointFailsError, PurchaseStoppedError)):
            buy(make(script, **way), 9, run=run)
        assert ledger_totals(ledger).quarantined == 0
    assert buy(make(lambda *_: GOOD, **way), 9).instructions.num_rows == 9


def test_whose_fault_it_is_shows_for_nothing_while_others_are_left(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    buy(make(failing_for_one(REJECTED), **way), 30)
    assert sum(len(asked) for asked in sends_but_a_witness(ledger, way)) == 31


ALWAYS = [REFUSED, REJECTED, SendFailure("unknown", "timeout", "HTTP 504"), SendFailure("final", "too_long", "HTTP 1")]


@pytest.mark.parametrize("failure", ALWAYS, ids=lambda one: one.kind)
@pytest.mark.parametrize("count", [1, 9])
def test_when_all_fail_nothing_is_given_up_however_few_they_are(
    make: Callable[..., ScriptedSender],
    buy: Buy,
    ledger: Ledger,
    way: dict[str, int],
    failure: SendFailure,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    for run in ("one", "two"):
        with pytest.raises(EndpointFailsError, match=f"{count} of {count} requests had no reply .*HTTP"):
            buy(make(lambda *_: failure, **way), count, run=run)
        assert ledger_totals(ledger).quarantined == 0
    assert buy(make(lambda *_: GOOD, **way), count).instructions.num_rows == count


@pytest.mark.parametrize("failure", ALWAYS, ids=lambda one: one.kind)
def test_one_that_is_answered_in_a_group_does_not_speak_for_what_is_after_it(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, failure: SendFailure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model on this machine writes them one after the other, and breaks after the first."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 2)
    with pytest.raises(EndpointFailsError, match="3 of 4 requests"):
        buy(make(lambda number, _: failure if number else GOOD, group_size=4), 4)
    assert ledger_totals(ledger).quarantined == 0
    assert buy(make(lambda *_: GOOD, group_size=4), 4).instructions.num_rows == 4


@pytest.mark.parametrize("failure", ALWAYS[:2], ids=lambda one: one.kind)
@pytest.mark.parametrize("position", [0, 7])
def test_it_does_not_matter_which_one_fails(
    make: Callable[..., ScriptedSender],
    buy: Buy,
    way: dict[str, int],
    failure: SendFailure,
    position: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    seen: list[str] = []

    def script(_: int, name: str) -> Reply | SendFailure:
        if name not in seen:
            seen.append(name)
        return failure if seen.index(name) == position else GOOD

    bought = buy(make(script, **way), 8)
    assert [one.sample_id for one in bought.dropped] == [seen[position]]
    assert buy(make(lambda *_: GOOD, **way), 8).asked == 0


def test_more_that_fail_than_the_breaker_allows_do_not_stop_the_others(
    make: Callable[..., ScriptedSender], buy: Buy, way: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third one is rejected; at the end these are more in a row than the breaker allows."""
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 5)
    seen: list[str] = []

    def script(_: int, name: str) -> Reply | SendFailure:
        if name not in seen:
            seen.append(name)
        return REJECTED if seen.index(name) % 3 == 0 else GOOD

    bought = buy(make(script, **way), 24)
    assert (bought.instructions.num_rows, len(bought.dropped)) == (16, 8)


def test_what_may_have_been_charged_for_one_that_is_given_up_is_booked(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 2)
    counted = SendFailure("unknown", "unfinished", "upstream error", input_tokens=500, output_tokens=40)
    bought = buy(make(failing_for_one(counted), **way), 4)
    paid = [row["price_usd"] for row in bought.attempts.to_pylist() if row["outcome"] in ("refused", "failed")]
    assert paid == pytest.approx([(500 * 3 + 40 * 6) / 1e6] * 2)
    assert ledger_totals(ledger).uncertain == 0, "what the endpoint counts is known"


def test_an_uncounted_reply_that_never_comes_is_booked_at_its_highest_cost(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    bought = buy(make(failing_for_one(SendFailure("unknown", "timeout", "HTTP 504")), **way), 4)
    rows = [row for row in bought.attempts.to_pylist() if row["outcome"] != "answered"]
    assert [row["outcome"] for row in rows] == ["unknown", "unknown", "failed"]
    assert rows[-1]["price_usd"] == rows[-1]["may_cost_usd"] > 0
    assert ledger_totals(ledger).uncertain_usd == pytest.approx(2 * rows[0]["may_cost_usd"])


def test_what_an_interrupted_purchase_learnt_holds_for_the_next(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two always fail; the purchase ends before their last try, and they are all that is left for the next."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    seen: list[str] = []

    def script(number: int, name: str) -> Reply | SendFailure:
        if name not in seen:
            seen.append(name)
        return (
            SendFailure("account", "away", "", error=PurchaseStoppedError("ended"))
            if number > 9
            else (REFUSED if seen.index(name) < 2 else GOOD)
        )

    with pytest.raises(PurchaseStoppedError, match="ended"):
        buy(make(script), 8, run="one")
    with pytest.raises(EndpointFailsError, match="3 of 3 requests"):
        buy(make(lambda *_: REFUSED), 8, run="an outage")
    bought = buy(make(lambda _, name: REFUSED if name in seen[:2] else GOOD), 8, run="two")
    assert (bought.instructions.num_rows, len(bought.dropped)) == (6, 2)


def test_an_account_that_was_refused_says_nothing_about_the_requests_in_flight(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 2)
    closed = SendFailure("account", "endpoint_refused", "HTTP 401", error=PurchaseStoppedError("closed"))
    with pytest.raises(PurchaseStoppedError, match="closed"):
        buy(make(lambda number, _: closed if number > 2 else GOOD, groups_in_flight=6, seconds=0.05), 6, run="one")
    with pytest.raises(EndpointFailsError, match="3 of 3 requests"):
        buy(make(lambda *_: REFUSED), 6, run="two")
    assert ledger_totals(ledger).quarantined == 0


def test_a_reply_of_its_own_is_no_reply_of_another(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have an unusable reply each, and then the endpoint goes away."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    with pytest.raises(EndpointFailsError, match="2 of 2 requests"):
        buy(make(lambda number, _: REFUSED if number > 1 else BROKEN, group_size=2), 2)
    assert ledger_totals(ledger).quarantined == 0


def test_what_was_given_up_without_a_reply_is_asked_for_again_on_demand(
    make: Callable[..., ScriptedSender], ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 2)
    requests = draw_requests(tmp_path / "images", 4)
    unlucky = [one.sample_id for one in requests[:2]]

    def script(_: int, name: str) -> Reply | SendFailure:
        return REFUSED if name == unlucky[0] else BROKEN if name == unlucky[1] else GOOD

    def buy(script: Any, *, ask_again: bool) -> BuyResult:
        return buy_instructions(requests, provider=make(script, repairs=0), ledger=ledger, ask_again=ask_again)

    assert sorted(one.sample_id for one in buy(script, ask_again=False).dropped) == sorted(unlucky)
    assert buy(lambda *_: GOOD, ask_again=False).asked == 0
    assert [one.sample_id for one in buy(script, ask_again=True).dropped if one.reason == "server_error"] == unlucky[:1]
    again = buy(lambda *_: GOOD, ask_again=True)
    assert (again.asked, again.instructions.num_rows) == (1, 3)
    assert [one.sample_id for one in again.dropped] == unlucky[1:], "what was paid for is not paid for again"


def test_what_is_rejected_is_asked_once_more_when_the_others_are_through(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    sender = make(failing_for_one(REJECTED), **way)
    bought = buy(sender, 30)
    assert [dropped.reason for dropped in bought.dropped] == ["rejected"]
    assert sends_but_a_witness(ledger, way) == [[("first", "answered")]] * 29 + [
        [("first", "refused"), ("retry", "failed")]
    ]
    assert sender.groups[-2] == [bought.dropped[0].sample_id]


def test_when_everything_is_rejected_nothing_is_given_up(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    with pytest.raises(EndpointFailsError, match="not this one"):
        buy(make(lambda *_: REJECTED, **way), 12)
    assert ledger_totals(ledger).quarantined == 0
    assert buy(make(lambda *_: GOOD, **way), 12).instructions.num_rows == 12


def test_what_will_never_be_answered_is_quarantined_at_once(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    bought = buy(make(failing_for_one(SendFailure("final", "too_long", "513 tokens")), **way), 4)
    assert [(dropped.reason, dropped.detail) for dropped in bought.dropped] == [("too_long", "513 tokens")]
    assert ledger_totals(ledger).attempts <= 5, "once more only when nobody was answered before"


def test_an_account_that_is_refused_ends_the_purchase_and_leaves_the_requests_open(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    refused = SendFailure("account", "endpoint_refused", "HTTP 401", error=PurchaseStoppedError("a wrong key"))
    sender = make(lambda *_: refused, **way)
    with pytest.raises(PurchaseStoppedError, match="a wrong key"):
        buy(sender, 30)
    assert len(sender.groups) <= way.get("groups_in_flight", 1)
    assert ledger_totals(ledger).uncertain == 0


def test_a_breaker_stops_what_brings_nothing_usable(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 6)
    sender = make(lambda *_: BROKEN, **way)
    with pytest.raises(EndpointFailsError, match=r"\d attempts in a row brought nothing usable; the last: not_json"):
        buy(sender, 40)
    in_flight = way.get("group_size", 1) * way.get("groups_in_flight", 1)
    assert 6 <= ledger_totals(ledger).attempts <= 6 + in_flight, "what was in flight is settled, and nothing more sent"
    assert ledger_totals(ledger).uncertain == 0


def test_what_was_not_run_says_nothing_about_the_endpoint(
    make: Callable[..., ScriptedSender], buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 3)
    expired = SendFailure("not_run", "expired", "24 h are over")
    assert buy(make(lambda number, _: expired if number < 4 else GOOD, group_size=4), 4).instructions.num_rows == 4


def test_money_is_set_aside_waited_for_and_never_exceeded(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    paid = (100 * 3 + 20 * 6) / 1e6
    buy(make(lambda *_: GOOD), 1, run="before")
    [may_cost] = [row.may_cost_usd for row in attempts(ledger)]
    # One at its highest cost, and the others at what they come to.
    limit = 5 * paid + may_cost
    with pytest.raises(BudgetSpentError, match="the purchase stopped before it"):
        buy(make(lambda *_: GOOD, spend_at_most_usd=limit, seconds=0.01, **way), 20)
    totals = ledger_totals(ledger, run="r")
    assert totals.answered == 6, "as long as there is money for one more at its highest cost"
    assert totals.price_usd <= limit
    assert (totals.pending, totals.uncertain) == (0, 0)
    with pytest.raises(BudgetSpentError):
        buy(make(lambda *_: GOOD, spend_at_most_usd=limit, **way), 20)
    assert ledger_totals(ledger, run="r").answered == 6, "the same run, tried again, has no new money"


def test_what_may_have_been_charged_counts_at_its_highest_cost(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    hangs = SendFailure("unknown", "timeout", "no reply")
    with pytest.raises(BudgetSpentError):
        buy(make(lambda *_: hangs, spend_at_most_usd=0.02, **way), 30)
    totals = ledger_totals(ledger, run="r")
    assert (totals.price_usd, 0 < totals.uncertain_usd <= 0.02) == (0, True)


def test_a_group_that_ends_the_purchase_is_settled_first(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    sender = make(lambda *_: GOOD, stop=PurchaseStoppedError("no more memory"), **way)
    with pytest.raises(PurchaseStoppedError, match="no more memory"):
        buy(sender, 30)
    sent = sum(len(group) for group in sender.groups)
    assert sends(ledger) == [[("first", "answered")]] * sent


def test_a_bug_in_a_sender_is_raised_and_the_others_are_settled(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger
) -> None:
    def script(number: int, _: str) -> Reply:
        if number == 2:
            raise KeyError("a bug")
        return GOOD

    with pytest.raises(KeyError, match="a bug"):
        buy(make(script, groups_in_flight=3, seconds=0.05), 20)
    found = sends(ledger)
    assert found == [[("first", "answered")]] * (len(found) - 1) + [[("first", "lost")]]
    assert len(found) < 20, "nobody sends any more"


def test_what_goes_again_waits_until_it_fills_a_group(make: Callable[..., ScriptedSender], buy: Buy) -> None:
    """Of 6 in groups of 3 every other reply is broken: the three that go again go together."""
    seen: set[str] = set()

    def script(number: int, name: str) -> Reply:
        again = name in seen
        seen.add(name)
        return BROKEN if number % 2 and not again else GOOD

    sender = make(script, group_size=3, groups_in_flight=4, seconds=0.05)
    assert buy(sender, 6).instructions.num_rows == 6
    assert [len(group) for group in sender.groups] == [3, 3, 3]


def test_a_purchase_that_ended_after_a_broken_reply_goes_on_with_its_repair(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, way: dict[str, int]
) -> None:
    with pytest.raises(PurchaseStoppedError):
        buy(make(lambda *_: BROKEN, stop=PurchaseStoppedError("enough"), **way), 4)
    begun = ledger_totals(ledger).attempts
    assert buy(make(lambda *_: GOOD, **way), 4).instructions.num_rows == 4
    assert sends(ledger).count([("first", "unusable"), ("repair", "answered")]) == begun


def test_an_interrupt_settles_the_replies_in_hand_and_names_the_rest(
    make: Callable[..., ScriptedSender], buy: Buy, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while some replies have come and others have not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever had it: as in a process of its own
    sender = make(lambda *_: GOOD, groups_in_flight=4)
    send = sender.send
    interrupts = iter([signal.SIGINT])  # one: a second would not wait for anything

    async def slow_after_four(*arguments: Any) -> Any:
        result = await send(*arguments)
        if len(sender.groups) > 4:
            for interrupt in interrupts:
                asyncio.get_running_loop().call_later(0.3, signal.raise_signal, interrupt)
            await asyncio.sleep(60)
        return result

    monkeypatch.setattr(sender, "send", slow_after_four)
    try:
        with pytest.raises(KeyboardInterrupt):
            buy(sender, 12)
    finally:
        signal.signal(signal.SIGINT, before)
    found = sends(ledger)
    assert found.count([("first", "answered")]) == 4
    assert [sent for sent in found if sent != [("first", "answered")]] == [[("first", "lost")]] * (len(found) - 4)
    assert len(found) <= 8


def attempts(ledger: Ledger) -> list[Any]:
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(ATTEMPTS)))
