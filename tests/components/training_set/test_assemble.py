import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.pool.samples import Dropped, InstructedImage, Turn
from components.schemas import DROPPED, INSTRUCTIONS, SAMPLES, TRAINING_SAMPLES
from components.storage import read_table
from components.training_set.assemble import (
    assemble_training_set,
    read_training_samples,
    read_training_set,
    write_training_set,
)


def pool(*names: str) -> pa.Table:
    rows = [
        {
            "sample_id": f"t/{name}",
            "task": "t",
            "image_sha": name * 8,
            "uri": f"images/{name}.png",
            "source": "pool.json",
            "record_ids": [name],
            "near_duplicate_of": "",
        }
        for name in names
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def instructions(*names: str, response: str = "yes") -> pa.Table:
    rows = [
        {
            "sample_id": f"t/{name}",
            "task": "t",
            "image_sha": name * 8,
            "request_id": f"r-{name}",
            "provider": "existing",
            "model": "m",
            "turns": [{"question": f"q {name}", "response": response}, {"question": "more?", "response": "é"}],
            "input_tokens": 0,
            "output_tokens": 0,
            "price_usd": 0.0,
            "attempts": 1,
        }
        for name in names
    ]
    return pa.Table.from_pylist(rows, schema=INSTRUCTIONS)


PARTS = [("reference", instructions("c", "a")), ("selection", instructions("b", "a", response="no"))]


def test_parts_are_joined_sorted_and_each_sample_is_there_once():
    table = assemble_training_set(pool("a", "b", "c", "d"), PARTS)
    assert table.schema == TRAINING_SAMPLES
    assert table.select(["sample_id", "uri", "origin"]).to_pylist() == [
        {"sample_id": "t/a", "uri": "images/a.png", "origin": "reference"},
        {"sample_id": "t/b", "uri": "images/b.png", "origin": "selection"},
        {"sample_id": "t/c", "uri": "images/c.png", "origin": "reference"},
    ]
    assert table["turns"].to_pylist()[0][0] == {"question": "q a", "response": "yes"}


def test_tables_of_different_pools_are_refused():
    with pytest.raises(ValueError, match=r"'t/c'.*no such sample"):
        assemble_training_set(pool("a", "b"), PARTS)
    changed = pool("a", "b", "c").set_column(2, "image_sha", pa.array(["x" * 8, "b" * 8, "c" * 8]))
    with pytest.raises(ValueError, match=r"'t/a'.*different pools"):
        assemble_training_set(changed, PARTS)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(ValueError, match="nothing to train on"):
        assemble_training_set(pool("a"), [("reference", instructions())])


def test_what_is_written_reads_back(tmp_path):
    table = assemble_training_set(pool("a", "b", "c"), PARTS)
    write_training_set(tmp_path, table, dropped=[Dropped("t/z", "no_annotation", "why")])
    assert read_training_set(tmp_path) == table
    first = read_training_samples(tmp_path)[0]
    assert first == InstructedImage("t/a", "t", "images/a.png", "a" * 8, (Turn("q a", "yes"), Turn("more?", "é")))
    assert read_table(tmp_path / "dropped.parquet", DROPPED)["reason"].to_pylist() == ["no_annotation"]


def test_llava_json(tmp_path):
    write_training_set(tmp_path, assemble_training_set(pool("a", "b", "c"), PARTS))
    records = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    assert records[0] == {
        "id": "t/a",
        "image": "images/a.png",
        "task": "t",
        "conversations": [
            {"from": "human", "value": "<image>\nq a"},
            {"from": "gpt", "value": "yes"},
            {"from": "human", "value": "more?"},
            {"from": "gpt", "value": "é"},
        ],
    }
    assert [record["id"] for record in records] == ["t/a", "t/b", "t/c"]


def test_messages(tmp_path):
    write_training_set(tmp_path, assemble_training_set(pool("a", "b", "c"), PARTS))
    row = pq.read_table(tmp_path / "messages.parquet").to_pylist()[0]
    assert row["images"] == ["images/a.png"]
    assert row["messages"] == [
        {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "q a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "yes"}]},
        {"role": "user", "content": [{"type": "text", "text": "more?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "é"}]},
    ]


def test_equal_sets_are_equal_bytes(tmp_path):
    for name in ("one", "two"):
        parts = PARTS if name == "one" else [(origin, table.take([1, 0])) for origin, table in PARTS]
        write_training_set(tmp_path / name, assemble_training_set(pool("a", "b", "c"), parts))
    for file in ("samples.parquet", "train.json", "messages.parquet"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_equal_turns_do_not_share_the_image(tmp_path):
    """A conversation that asks the same thing twice shows the image once."""
    from components.training_set.formats import messages_table

    turn = Turn("again?", "yes")
    sample = InstructedImage("t/a", "t", "a.png", "", (turn, turn))
    (row,) = messages_table([sample], ["a.png"]).to_pylist()
    parts = [part["type"] for message in row["messages"] for part in message["content"]]
    assert parts.count("image") == 1
