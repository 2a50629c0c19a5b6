"""Holding a benchmark out of an annotated pool."""

import json
from pathlib import Path

import pytest

from components.benchmark.hold_out import HoldOutError, hold_out_benchmark, undivided_records
from components.output_folder import OutputFolderError
from components.parameters.parameters import TaskRule


def write_pool(root: Path, images_per_task: dict[str, int]) -> tuple[Path, Path]:
    records = [
        {"id": f"{task}-{number}-{copy}", "image": f"{task}/{number}.png", "task": task}
        for task, count in images_per_task.items()
        for number in range(count)
        for copy in range(1 + (number == 0))
    ]
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]
    pool, annotations = root / "pool.json", root / "annotations.json"
    pool.write_text(json.dumps(records), encoding="utf-8")
    annotations.write_text(json.dumps([{**record, "conversations": turns} for record in records]), encoding="utf-8")
    return pool, annotations


def images(file: Path) -> set[str]:
    return {record["image"] for record in json.loads(file.read_text(encoding="utf-8"))}


def test_every_task_gives_its_share_and_no_image_is_on_both_sides(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 10, "b/c": 3})
    divided = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.2, seed=1)
    assert [(task.task, len(images(task.file))) for task in divided] == [("a", 2), ("b/c", 1)]
    left = images(tmp_path / "out/pool.json")
    held = images(divided[0].file) | images(divided[1].file)
    assert not left & held
    assert left | held == images(pool)


def test_held_out_records_carry_their_conversations(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 5})
    (task,) = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    assert all(record["conversations"] for record in json.loads(task.file.read_text(encoding="utf-8")))
    assert task.held_out + task.kept == 6, "the image with two records stays on one side with both"


def test_the_division_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 40})
    sides = [
        images(hold_out_benchmark(pool, annotations, tmp_path / str(run), share=0.3, seed=seed)[0].file)
        for run, seed in enumerate((4, 4, 5))
    ]
    assert sides[0] == sides[1] != sides[2]


def test_a_record_without_conversation_is_named(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    annotations.write_text("[]", encoding="utf-8")
    with pytest.raises(HoldOutError, match=r"no conversation for .* e\.g\. 'a-"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    assert not (tmp_path / "out").exists()


def test_a_record_without_task_is_named(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 2})
    pool.write_text('[{"id": "1", "image": "x.png"}]', encoding="utf-8")
    with pytest.raises(HoldOutError, match=r"none of its 1 records .* record 1: no field 'task'"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)


def write_records(root: Path, images_per_task: dict[str, range]) -> tuple[Path, Path]:
    """Tasks that share images; a record's id is its image's, so only the task tells two records apart."""
    records = [
        {"id": str(number), "image": f"{number}.png", "task": task}
        for task, numbers in images_per_task.items()
        for number in numbers
    ]
    pool, annotations = root / "pool.json", root / "annotations.json"
    pool.write_text(json.dumps(records), encoding="utf-8")
    spoken = [{**record, "conversations": [{"from": "human", "value": record["task"]}]} for record in records]
    annotations.write_text(json.dumps(spoken), encoding="utf-8")
    return pool, annotations


def test_an_image_held_out_in_one_task_leaves_the_pool_in_all(tmp_path: Path) -> None:
    # "rare" has 3 images, so it holds out one that "common", with 60, would rarely choose.
    for seed in range(10):
        pool, annotations = write_records(tmp_path, {"common": range(60), "rare": range(3)})
        out = tmp_path / f"out{seed}"
        common, rare = hold_out_benchmark(pool, annotations, out, share=0.05, seed=seed)
        left = images(out / "pool.json")
        assert not left & (images(common.file) | images(rare.file))
        assert images(rare.file) <= images(common.file)
        assert (common.held_out + common.kept, rare.held_out + rare.kept) == (60, 3)
        for task in (common, rare):
            for record in json.loads(task.file.read_text(encoding="utf-8")):
                assert record["conversations"][0]["value"] == record["task"] == task.task


def test_tasks_on_the_same_images_hold_out_the_same_ones(tmp_path: Path) -> None:
    pool, annotations = write_records(tmp_path, {task: range(50) for task in "abcde"})
    divided = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.2, seed=3)
    assert [(task.held_out, task.kept) for task in divided] == [(10, 40)] * 5


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (("a b", "a-b"), "tasks 'a b' and 'a-b' would both be written to a-b.json"),
        (("pool",), "'pool' would be pool.json"),
    ],
)
def test_tasks_whose_files_collide_are_named(tmp_path: Path, tasks: tuple[str, ...], message: str) -> None:
    pool, annotations = write_pool(tmp_path, dict.fromkeys(tasks, 4))
    with pytest.raises(HoldOutError, match=message):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pool.json", "annotations.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"id": ', "ends early"),
        (b'["\xff"]', "is not JSON: record 1, at byte 1: 'utf-8' codec"),
        (b"[1,]", "a comma before the closing ]"),
        (b"{}", "is not a JSON array"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HoldOutError, match=f"{name}.*{message}"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)


TALK = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "That."}]


def test_records_that_ingest_would_not_use_stay_in_the_pool_and_are_counted(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    odd = [
        {"id": "t", "conversations": TALK},
        {"id": "n", "image": "x.png"},
        5,
        {"id": ["y"], "image": "x.png", "task": "a"},
    ]
    pool.write_text(json.dumps([odd[0], *json.loads(pool.read_text()), *odd[1:]]), encoding="utf-8")
    (task,) = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    assert [(item.reason, item.count) for item in undivided_records(pool)] == [("invalid_record", 3), ("text_only", 1)]
    left = json.loads((tmp_path / "out/pool.json").read_text(encoding="utf-8"))
    assert all(record in left for record in odd)
    assert len(left) == task.kept + 4


def test_ids_images_and_tasks_are_found_by_the_rule_of_ingest(tmp_path: Path) -> None:
    records = [{"images": [f"{task}/{number}.png"]} for task in "ab" for number in range(4)]
    (tmp_path / "pool.json").write_text(json.dumps(records))
    said = [{"image": record["images"][0], "messages": TALK} for record in records]
    (tmp_path / "said.json").write_text(json.dumps(said))
    rule = TaskRule(prefix=True)
    divided = hold_out_benchmark(
        tmp_path / "pool.json", tmp_path / "said.json", tmp_path / "out", share=0.5, seed=1, rule=rule
    )
    assert [(task.task, task.held_out, task.kept) for task in divided] == [("a", 2, 2), ("b", 2, 2)]


def test_a_task_with_a_long_name_has_a_file(tmp_path: Path) -> None:
    long = {"very long " * 40: 2, "very long " * 41: 2, "ö" * 300: 2}
    divided = hold_out_benchmark(*write_pool(tmp_path, long), tmp_path / "out", share=0.5, seed=1)
    assert len({task.file for task in divided}) == 3
    assert all(task.file.exists() for task in divided)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    annotations.unlink()
    with pytest.raises(HoldOutError, match=r"annotations\.json cannot be read: No such file"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_divides_nothing_is_refused(tmp_path: Path, share: float) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    with pytest.raises(HoldOutError, match=f"share is {share}"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=share, seed=1)


def test_what_is_there_is_not_written_over_unasked_and_the_pool_itself_never(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 4})
    before = pool.read_bytes(), annotations.read_bytes()
    with pytest.raises(OutputFolderError, match="is not empty"):
        hold_out_benchmark(pool, annotations, tmp_path, share=0.5, seed=1)
    with pytest.raises(HoldOutError, match=r"pool\.json would be written over by its own division"):
        hold_out_benchmark(pool, annotations, tmp_path, share=0.5, seed=1, overwrite=True)
    assert (pool.read_bytes(), annotations.read_bytes()) == before
    first = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    assert hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1, overwrite=True) == first


@pytest.mark.parametrize("name", [{"id": "0001"}, {}])
def test_each_conversation_of_records_of_one_name_is_held_out_once(tmp_path: Path, name: dict[str, str]) -> None:
    records = [{**name, "image": f"{number}.png", "task": "t"} for number in range(4) for _ in range(3)]
    spoken = [
        {**record, "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": f"r{number}"}]}
        for number, record in enumerate(records)
    ]
    pool, annotations = tmp_path / "pool.json", tmp_path / "annotations.json"
    pool.write_text(json.dumps(records), encoding="utf-8")
    annotations.write_text(json.dumps(spoken), encoding="utf-8")
    (task,) = hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
    held = json.loads(task.file.read_text(encoding="utf-8"))
    assert (task.held_out, task.kept) == (len(held), 6)
    assert held == [record for record in spoken if record["image"] in images(task.file)]


def test_what_utf8_cannot_hold_is_divided_as_it_is(tmp_path: Path) -> None:
    pool, _ = write_pool(tmp_path, {"a": 4})
    turns = [{"from": "human", "value": "half a smile \ud83d"}, {"from": "gpt", "value": "r"}]
    records = [{**record, "conversations": turns} for record in json.loads(pool.read_text(encoding="utf-8"))]
    pool.write_text(json.dumps(records), encoding="utf-8")
    (task,) = hold_out_benchmark(pool, pool, tmp_path / "out", share=0.5, seed=1)
    written = [*json.loads(task.file.read_text()), *json.loads((tmp_path / "out/pool.json").read_text())]
    assert sorted(written, key=lambda one: one["id"]) == records
