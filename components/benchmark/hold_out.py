"""Holds a share of an annotated pool out of curation, as benchmark sets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.selection.reference_set import choose_reference_set
from components.storage import write_json


@dataclass(frozen=True, slots=True)
class HeldOutTask:
    """How one task was divided.

    Attributes:
        task: the task.
        file: its benchmark set, LLaVA JSON with conversations.
        held_out: records in it.
        kept: records left in the pool.
    """

    task: str
    file: Path
    held_out: int
    kept: int


def hold_out_benchmark(
    pool: Path, annotations: Path, target: Path, *, share: float, seed: int
) -> tuple[HeldOutTask, ...]:
    """Divide a pool: a share of every task becomes a benchmark set, the rest is the pool that is curated.

    Writes `pool.json` and one `TASK.json` per task into `target`. Records that show the same image file stay together,
    on one side, so that no held-out image is also in the pool under another record.

    Args:
        pool: LLaVA JSON; every record has `id`, `image` and `task`.
        annotations: LLaVA JSON with the conversations of (at least) the held-out records.
        target: folder to write.
        share: of the images of every task, above 0 and below 1; rounded up.
        seed: the division is the same for the same seed, and stable when the pool grows.

    Returns:
        One record per task, sorted by task.

    Raises:
        ValueError: a record lacks a field, or a held-out record has no conversation.
    """
    records = _read_records(pool)
    keys = sorted({(record["task"], record["image"]) for record in records})
    chosen = choose_reference_set(
        [f"{task}\n{image}" for task, image in keys], [task for task, _ in keys], share=share, seed=seed
    )
    held = {key for key, taken in zip(keys, chosen, strict=True) if taken}
    conversations = {(record["id"], record["image"]): record for record in _read_records(annotations)}
    divided = []
    for task in sorted({task for task, _ in keys}):
        own = [record for record in records if record["task"] == task]
        out = [record for record in own if (task, record["image"]) in held]
        bare = [record["id"] for record in out if (record["id"], record["image"]) not in conversations]
        if bare:
            raise ValueError(
                f"{annotations} has no conversation for {len(bare)} records of task {task!r}, e.g. {bare[0]!r}"
            )
        file = target / f"{_file_name(task)}.json"
        write_json(file, [conversations[record["id"], record["image"]] for record in out])
        divided.append(HeldOutTask(task, file, len(out), len(own) - len(out)))
    write_json(target / "pool.json", [record for record in records if (record["task"], record["image"]) not in held])
    return tuple(divided)


def _read_records(file: Path) -> Sequence[dict[str, str]]:
    records = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(records, list):
        raise ValueError(f"{file} must be a JSON list of records, is a {type(records).__name__}")
    for number, record in enumerate(records):
        missing = [key for key in ("id", "image", "task") if not isinstance(record, dict) or key not in record]
        if missing:
            raise ValueError(f"{file}: record {number} has no {', '.join(missing)}")
    return records


def _file_name(task: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in task)
