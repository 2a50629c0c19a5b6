import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo import write_pool
from demo.questions import DEMO_TASKS
from demo.write_pool import BENCHMARK_SIZE, COMPOSITIONS, MARKER, pool_entries, write_demo_pool
from tests.demo.conftest import POOL_SEED

TASK_NAMES = [task.name for task in DEMO_TASKS]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): digest(path) for path in sorted(root.rglob("*")) if path.is_file()}


def pool_digests(root: Path) -> dict[str, list[str]]:
    digests: dict[str, list[str]] = {name: [] for name in TASK_NAMES}
    for record in json.loads((root / "pool.json").read_text()):
        digests[record["task"]].append(digest(root / "images" / record["image"]))
    return digests


@pytest.fixture
def _smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of the images of every task, and few to measure with."""
    for name, composition in COMPOSITIONS.items():
        monkeypatch.setitem(COMPOSITIONS, name, replace(composition, size=composition.size // 20))
    monkeypatch.setattr(write_pool, "BENCHMARK_SIZE", 7)


@pytest.mark.usefixtures("_smaller")
def test_same_seed_gives_the_same_bytes_and_a_stale_pool_is_replaced(tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    again.mkdir()
    (again / MARKER).write_text("an older version")
    (again / "left_over.txt").write_text("from that version")
    for root in (first, again):
        write_demo_pool(root, seed=POOL_SEED)
    assert len(files(first)) > 100
    assert files(again) == files(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "first"]


@pytest.mark.usefixtures("_smaller")
def test_another_seed_gives_other_images() -> None:
    chart = next(task for task in DEMO_TASKS if task.name == "chart")
    first, again, other = (pool_entries(chart, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again
    assert not {entry.png for entry in first} & {entry.png for entry in other}


def test_a_pool_that_is_there_is_not_touched(demo_pool: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo_pool.rglob("*")}
    write_demo_pool(demo_pool, seed=POOL_SEED)
    assert {path: path.stat().st_mtime_ns for path in demo_pool.rglob("*")} == before


def test_a_folder_that_is_no_demo_pool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="holds no demo pool"):
        write_demo_pool(tmp_path, seed=0)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_pool_has_the_counts_of_its_composition_and_no_instructions(demo_pool: Path) -> None:
    records = json.loads((demo_pool / "pool.json").read_text())
    assert Counter(record["task"] for record in records) == {name: c.size for name, c in COMPOSITIONS.items()}
    assert all(set(record) == {"id", "image", "task"} for record in records)
    assert len({record["id"] for record in records}) == len(records)
    assert 2500 < len(records) < 3500


def test_annotations_are_llava_conversations_of_the_same_records(demo_pool: Path) -> None:
    bare = json.loads((demo_pool / "pool.json").read_text())
    annotated = json.loads((demo_pool / "annotations.json").read_text())
    assert [{key: record[key] for key in ("id", "image", "task")} for record in annotated] == bare
    several_turns = 0
    for record in annotated:
        turns = record["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert turns[0]["value"].startswith("<image>\n")
        assert sum(turn["value"].count("<image>") for turn in turns) == 1
        assert all(turn["value"].strip() for turn in turns)
        several_turns += len(turns) > 2
    assert several_turns > 100


def test_every_image_is_64_pixels_rgb(demo_pool: Path) -> None:
    paths = [*(demo_pool / "images").rglob("*.png"), *(demo_pool / "benchmark").rglob("*.png")]
    assert len(paths) == sum(c.size for c in COMPOSITIONS.values()) + BENCHMARK_SIZE * len(DEMO_TASKS)
    for path in paths[::97]:
        with Image.open(path) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")


def test_benchmark_shares_no_image_with_the_pool_and_repeats_none(demo_pool: Path) -> None:
    pool = {value for values in pool_digests(demo_pool).values() for value in values}
    benchmark = [digest(path) for path in (demo_pool / "benchmark" / "images").rglob("*.png")]
    assert len(set(benchmark)) == len(benchmark) == BENCHMARK_SIZE * len(DEMO_TASKS)
    assert not pool & set(benchmark)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_benchmark_answers_are_balanced_and_the_pools_are_skewed(demo_pool: Path, task: str) -> None:
    def answers(path: Path) -> Counter[str]:
        records = [record for record in json.loads(path.read_text()) if record["task"] == task]
        responses = [record["conversations"][1]["value"] for record in records]
        return Counter(str(len(response)) if task == "reading" else response for response in responses)

    pool = answers(demo_pool / "annotations.json")
    benchmark = answers(demo_pool / "benchmark" / f"{task}.json")
    assert benchmark.total() == BENCHMARK_SIZE
    if task == "chart":
        # Values are balanced; "which bar is tallest" has a colour for its answer.
        benchmark = Counter({answer: count for answer, count in benchmark.items() if answer.isdigit()})
    assert max(benchmark.values()) - min(benchmark.values()) <= 2
    if task not in ("relation", "existence"):
        assert max(pool.values()) > 1.8 * min(pool.values())


@pytest.mark.parametrize("task", TASK_NAMES)
def test_redundancy_is_there(demo_pool: Path, task: str) -> None:
    digests = pool_digests(demo_pool)[task]
    assert 0.01 < 1 - len(set(digests)) / len(digests) < 0.05
    folder = demo_pool / "images" / task
    thumbnails = np.stack(
        [
            np.asarray(Image.open(path).resize((16, 16), Image.Resampling.BOX), dtype=np.float32).ravel()
            for path in sorted(folder.glob("*.png"))
        ]
    )  # (images, 768)
    squares = (thumbnails**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * thumbnails @ thumbnails.T
    root_mean_square = np.sqrt(np.clip(distances, 0, None) / thumbnails.shape[1])
    np.fill_diagonal(root_mean_square, np.inf)
    head_share = sum(COMPOSITIONS[task].heads)
    repeated = float((np.sort(root_mean_square, axis=1)[:, 4] < 16).mean())
    assert head_share * 0.8 < repeated < head_share + 0.25
