"""Holding a benchmark out of an annotated pool."""

import json
from pathlib import Path

import pytest

from components.benchmark.hold_out import hold_out_benchmark


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
    with pytest.raises(ValueError, match=r"no conversation for .* e\.g\. 'a-"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)


def test_a_record_without_task_is_named(tmp_path: Path) -> None:
    pool, annotations = write_pool(tmp_path, {"a": 2})
    pool.write_text('[{"id": "1", "image": "x.png"}]', encoding="utf-8")
    with pytest.raises(ValueError, match="record 0 has no task"):
        hold_out_benchmark(pool, annotations, tmp_path / "out", share=0.5, seed=1)
