"""Another provider is one file, here this one, and one line in the dict of providers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from components.compute.local import LocalEngine
from components.instructions.buy import buy_instructions
from components.instructions.ledger.ledger import Ledger, open_ledger
from components.instructions.open_provider import PROVIDERS, ProviderKind, Surroundings, open_provider
from components.instructions.provider import Answer, InstructionProvider, PurchaseBook, Send
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.spending.estimate import provider_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.pool.samples import Turn
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.components.instructions.scripted_sender import BROKEN, GOOD, ScriptedSender


class FileNames:
    """A toy provider that has its answers at hand: it says what a file is called."""

    name = "file_names"

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        return [RequestSpecification(model=self.name) for _ in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        return [True] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        may = book.announce([Send(one) for one in requests])
        turns = [(Turn("What is the file called?", Path(one.request.uri).name),) for one in requests]
        book.settle(
            [
                Answer(one.request_id, said, self.name, said[0].response)
                for one, said, granted in zip(requests, turns, may, strict=True)
                if granted
            ]
        )


def open_toy_model(
    parameters: InstructionParameters, _purchase: PurchaseParameters, _pool: Surroundings
) -> InstructionProvider:
    """A toy provider that is paid by the token: every first reply breaks a rule."""
    sent: set[str] = set()

    def script(_: int, name: str) -> Reply | SendFailure:
        again = name in sent
        sent.add(name)
        return GOOD if again else BROKEN

    return ScriptedSender(script, parameters, group_size=2, groups_in_flight=2, name="toy_model")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def test_a_toy_provider_is_named_in_one_place_and_bought_from(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match="must be one of existing, openai"):
        instruction_parameters(provider="file_names")
    monkeypatch.setitem(PROVIDERS, "file_names", ProviderKind(lambda *_: FileNames()))
    parameters, purchase = instruction_parameters(provider="file_names"), purchase_parameters()
    assert provider_price(parameters, purchase) is None
    requests = draw_requests(tmp_path / "images", 4)
    for asked in (4, 0):
        provider = open_provider(parameters, purchase, pixel_limit=100, engine=LocalEngine())
        bought = buy_instructions(requests, provider=provider, ledger=ledger)
        assert (bought.asked, bought.instructions.num_rows) == (asked, 4)
    assert {row["turns"][0]["response"] for row in bought.instructions.to_pylist()} == {f"{n}.png" for n in range(4)}


def test_a_toy_provider_that_is_paid_has_the_rules_of_a_purchase_for_nothing(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "toy_model", ProviderKind(open_toy_model, paid_by_token=True))
    prompts = str(write_template(tmp_path / "prompts"))
    parameters = instruction_parameters(provider="toy_model", model="test-model", prompts=prompts)
    purchase = purchase_parameters(prices=[PRICE])
    assert provider_price(parameters, purchase) == purchase.prices[0]
    provider = open_provider(parameters, purchase, pixel_limit=100, engine=LocalEngine())
    bought = buy_instructions(draw_requests(tmp_path / "images", 4), provider=provider, ledger=ledger)
    assert bought.instructions.num_rows == 4
    assert sorted(bought.attempts["outcome"].to_pylist()) == ["answered"] * 4 + ["unusable"] * 4
    assert bought.price_usd == pytest.approx(8 * (100 * 3 + 20 * 6) / 1e6)
