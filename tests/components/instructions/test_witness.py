"""What is left and always fails: given up where one that was answered is answered again, kept in an outage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from components.instructions import purchase_loop
from components.instructions.buy import BuyResult, buy_instructions
from components.instructions.ledger.ledger import Ledger
from components.instructions.ledger.tables import ATTEMPTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.purchase_errors import EndpointFailsError
from components.instructions.reply import Reply, SendFailure
from tests.components.instructions.conftest import instruction_parameters
from tests.components.instructions.purchases import draw_requests, write_template
from tests.components.instructions.scripted_sender import BROKEN, GOOD, REFUSED, REJECTED, Script, ScriptedSender

Buy = Callable[..., BuyResult]
WAYS: list[dict[str, int]] = [{}, {"groups_in_flight": 8}, {"group_size": 3}]


@pytest.fixture(params=WAYS, ids=["alone", "in parallel", "in groups"])
def buy(request: pytest.FixtureRequest, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Buy:
    """Buy the first so many of some samples; each sample fails or not by its place, or by the number of the send."""
    monkeypatch.setattr(purchase_loop, "ATTEMPTS", 3)
    prompts = write_template(tmp_path / "prompts")
    parameters = instruction_parameters(provider="openai", model="test-model", prompts=str(prompts), repairs=1)

    def buy(script: Script, count: int, **options: Any) -> BuyResult:
        requests = draw_requests(tmp_path / "images", count)
        sender = ScriptedSender(script, parameters, **request.param, **options)
        return buy_instructions(requests, provider=sender, ledger=ledger)

    return buy


def good(*_: object) -> Reply | SendFailure:
    return GOOD


@pytest.fixture
def unlucky(tmp_path: Path) -> Callable[..., Script]:
    """All but the first so many samples always fail."""

    def unlucky(after: int, failure: SendFailure, witness: Reply | SendFailure = GOOD) -> Script:
        lucky = {one.sample_id for one in draw_requests(tmp_path / "images", after)}
        return lambda _, name: witness if name in lucky else failure

    return unlucky


@pytest.mark.parametrize("failure", [REFUSED, REJECTED], ids=lambda one: one.kind)
@pytest.mark.parametrize("left", [1, 2, 30])
def test_what_is_left_alone_and_always_fails_is_given_up(
    buy: Buy, ledger: Ledger, unlucky: Any, monkeypatch: pytest.MonkeyPatch, failure: SendFailure, left: int
) -> None:
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 9)
    before = buy(good, 4).instructions
    bought = buy(unlucky(4, failure), 4 + left)
    assert len(bought.dropped) == left
    columns = ["sample_id", "turns", "request_id"]
    assert bought.instructions.select(columns) == before.select(columns), "what was bought is what it was"
    assert buy(good, 4 + left).asked == 0


@pytest.mark.parametrize("left", [1, 2, 30])
def test_in_an_outage_nothing_is_given_up_however_often_it_is_tried(
    buy: Buy, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(purchase_loop, "BREAKER_FAILURES", 9)
    buy(good, 4)
    for _ in range(4):
        with pytest.raises(EndpointFailsError):
            buy(lambda *_: REFUSED, 4 + left)
    totals = ledger_totals(ledger)
    assert (totals.answered, totals.quarantined) == (4, 0)
    assert buy(good, 4 + left).instructions.num_rows == 4 + left


@pytest.mark.parametrize("answered", [3, 6])
def test_the_last_of_a_purchase_is_not_given_up_in_an_outage_that_begins_with_it(
    buy: Buy, ledger: Ledger, answered: int
) -> None:
    with pytest.raises(EndpointFailsError, match="nothing is given up"):
        buy(lambda number, _: GOOD if number < answered else REFUSED, 8)
    assert ledger_totals(ledger).quarantined == 0
    assert buy(good, 8).instructions.num_rows == 8


@pytest.mark.parametrize("buy", WAYS[:2], indirect=True, ids=["alone", "in parallel"])
def test_a_single_last_one_is_not_given_up_either(buy: Buy, ledger: Ledger) -> None:
    with pytest.raises(EndpointFailsError, match=r"1 of 8 requests had no reply .*nothing is given up"):
        buy(lambda number, _: GOOD if number < 7 else REFUSED, 8)
    assert ledger_totals(ledger).quarantined == 0


@pytest.mark.parametrize("witness", [GOOD, BROKEN], ids=["answered", "answered badly"])
def test_a_witness_is_announced_paid_for_and_asked_once(buy: Buy, ledger: Ledger, unlucky: Any, witness: Reply) -> None:
    paid = buy(good, 3).price_usd
    bought = buy(unlucky(3, REFUSED, witness), 4)
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.kind == "witness")).all()
    assert [row.outcome for row in rows] == ["answered" if witness is GOOD else "unusable"]
    assert bought.price_usd == pytest.approx(rows[0].price_usd) == pytest.approx(paid / 3)
    assert ledger_totals(ledger).price_usd == pytest.approx(paid + rows[0].price_usd)
    assert [row["kind"] for row in bought.attempts.to_pylist()].count("witness") == 1
    assert (ledger_totals(ledger).answered, ledger_totals(ledger).quarantined) == (3, 1)


def test_without_money_for_a_witness_nothing_is_given_up(buy: Buy, ledger: Ledger, unlucky: Any) -> None:
    spent = buy(good, 3).price_usd
    with pytest.raises(RuntimeError, match="spend_at_most_usd"):
        buy(unlucky(3, REFUSED), 4, spend_at_most_usd=spent)
    assert ledger_totals(ledger).quarantined == 0


def test_a_witness_that_is_at_fault_itself_by_now_does_not_speak_for_the_endpoint(
    buy: Buy, ledger: Ledger, unlucky: Any
) -> None:
    buy(good, 4)
    script = unlucky(4, REFUSED)
    rejected: list[str] = []

    def one_is_taken_no_more(number: int, name: str) -> Reply | SendFailure:
        if script(number, name) is GOOD and not rejected:
            rejected.append(name)
        return REJECTED if name in rejected else script(number, name)

    bought = buy(one_is_taken_no_more, 6)
    assert (bought.instructions.num_rows, len(bought.dropped)) == (4, 2)
    assert [row["outcome"] for row in bought.attempts.to_pylist() if row["kind"] == "witness"] in (
        ["answered", "refused"],
        ["refused", "answered"],
    )
