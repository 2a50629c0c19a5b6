import json

import pyarrow as pa
import pytest
from PIL import Image

from components.instructions.buy import buy_instructions
from components.instructions.existing.provider import ExistingInstructions
from components.instructions.ledger.ledger import open_ledger
from components.instructions.missing import pool_refusal, samples_without_instruction
from components.instructions.provider import Answer, Send
from components.instructions.request import RequestSpecification, requests_for_samples
from components.parameters.instructions import AnnotationFile
from components.pool.samples import Turn
from components.schemas import SAMPLES


@pytest.fixture
def samples(tmp_path):
    rows: list[dict[str, object]] = []
    for name in ("one", "two", "three"):
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(path)
        rows.append(
            {"sample_id": f"t/{name}", "task": "t", "image_sha": f"{len(rows):064x}", "uri": str(path), "source": "s",
             "record_ids": [name], "near_duplicate_of": ""}
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SAMPLES)


class Writer:
    """A provider that has nothing at hand and writes whatever it is asked for."""

    name = "writer"

    def specify(self, requests):
        return [RequestSpecification(model="someone") for _ in requests]

    def at_hand(self, requests):
        return [False] * len(requests)

    def ask(self, requests, *, book):
        book.announce([Send(one) for one in requests])
        book.settle([Answer(one.request_id, (Turn("q", "r"),), model="someone", raw_text="") for one in requests])


def test_what_the_annotation_files_hold_is_not_missing(samples, tmp_path):
    turns = [{"from": "human", "value": "<image>\nq"}, {"from": "gpt", "value": "r"}]
    records = [{"id": "two", "image": "two.png", "conversations": turns}, {"id": "other", "image": "one.png"}]
    (tmp_path / "annotations.json").write_text(json.dumps(records))
    file = AnnotationFile(path=str(tmp_path / "annotations.json"), image_root=str(tmp_path))
    provider = ExistingInstructions((file,), price_per_instruction_usd=0.0)
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        assert samples_without_instruction(samples, provider=provider, ledger=ledger) == ("t/one", "t/three")


def test_what_was_bought_is_not_missing(samples, tmp_path):
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        assert len(samples_without_instruction(samples, provider=Writer(), ledger=ledger)) == 3
        buy_instructions(requests_for_samples(samples, ["t/one"]), provider=Writer(), ledger=ledger)
        assert samples_without_instruction(samples, provider=Writer(), ledger=ledger) == ("t/three", "t/two")


@pytest.mark.parametrize(("can_write", "advice"), [(False, "cannot write them"), (True, "Allow it")])
def test_the_refusal_names_number_price_and_what_to_do(can_write, advice):
    text = pool_refusal(strategy="tive", missing=1500, pool=3000, price_usd=30.0, can_write=can_write)
    assert "1,500 of 3,000 have none" in text
    assert "$0.02 each" in text
    assert "$30.00" in text
    assert "--annotate-pool" in text
    assert advice in text
    assert "strategy presel" in text
