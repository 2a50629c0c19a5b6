"""Images that are not there at the moment of buying: left out of this run, and nothing said about them for good."""

import hashlib
from pathlib import Path

import pytest

from components.instructions.batch.provider import batch_provider
from components.instructions.buy import buy_instructions
from components.instructions.endpoint.provider import openai_provider
from components.instructions.images_away import ImagesAwayError
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.request import InstructionRequest
from components.pool.samples import sample_identity
from tests.components.instructions.conftest import instruction_parameters, purchase_parameters
from tests.components.instructions.purchases import PRICE, draw_requests, write_template
from tests.instruction_server import running_instruction_server


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESEL_TEST_KEY", "test-key-never-to-be-written")
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def server():
    with running_instruction_server() as running:
        yield running


def provider(server, tmp_path, name="openai", pixel_limit=10**6):
    prompts = write_template(tmp_path / "prompts")
    parameters = instruction_parameters(provider=name, model="test-model", prompts=str(prompts))
    purchase = purchase_parameters(base_url=server.url, prices=[PRICE], concurrency=4)
    if name == "batch":
        return batch_provider(parameters, purchase, pixel_limit=pixel_limit, folder=tmp_path / "batches")
    return openai_provider(parameters, purchase, pixel_limit=pixel_limit)


def test_an_image_that_comes_back_is_bought(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 5)
    away, changed, large = (Path(requests[number].uri) for number in (0, 1, 2))
    away.rename(tmp_path / "away.png")
    as_it_was = changed.read_bytes()
    changed.write_bytes(away.with_name("3.png").read_bytes())
    bought = buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger)
    assert sorted((dropped.reason, dropped.sample_id) for dropped in bought.dropped) == [
        ("changed", requests[1].sample_id),
        ("missing", requests[0].sample_id),
    ]
    assert ledger_totals(ledger).requests == 3, "the ledger learns nothing of them"
    (tmp_path / "away.png").rename(away)
    changed.write_bytes(as_it_was)
    again = buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger)
    assert (again.dropped, again.asked, again.instructions.num_rows) == ((), 2, 5)
    assert large.exists()


def test_an_image_above_the_limit_is_bought_when_the_limit_is_raised(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 2)
    with pytest.raises(RuntimeError, match=r"none of 2 samples got an instruction \(too_large 2\)"):
        buy_instructions(requests, provider=provider(server, tmp_path, pixel_limit=10), ledger=ledger)
    bought = buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger)
    assert bought.instructions.num_rows == 2


def test_an_image_whose_own_bytes_are_broken_is_quarantined_for_good(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 1)
    broken = Path(requests[0].uri).with_name("broken.png")
    broken.write_bytes(Path(requests[0].uri).read_bytes()[:40])
    sha = hashlib.sha256(broken.read_bytes()).hexdigest()
    requests.append(InstructionRequest(sample_identity("color", sha), "color", sha, str(broken), ("b",)))
    for asked in (2, 0):
        bought = buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger)
        assert (bought.asked, [dropped.reason for dropped in bought.dropped]) == (asked, ["corrupt"])
    assert ledger_totals(ledger).quarantined == 1


@pytest.mark.parametrize("name", ["openai", "batch"])
def test_a_folder_that_is_not_there_stops_the_purchase_and_is_named(tmp_path, ledger, server, name):
    requests = draw_requests(tmp_path / "images", 60)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    with pytest.raises(ImagesAwayError, match=rf"5\d images in a row .* Is {tmp_path}/images there"):
        buy_instructions(requests, provider=provider(server, tmp_path, name), ledger=ledger)
    assert ledger_totals(ledger).requests == 0
    (tmp_path / "elsewhere").rename(tmp_path / "images")
    assert buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger).dropped == ()


def test_single_images_that_are_missing_do_not_stop_a_purchase(tmp_path, ledger, server):
    requests = draw_requests(tmp_path / "images", 120)
    for request in requests[::2]:
        Path(request.uri).unlink()
    bought = buy_instructions(requests, provider=provider(server, tmp_path), ledger=ledger)
    assert (bought.instructions.num_rows, len(bought.dropped)) == (60, 60)
