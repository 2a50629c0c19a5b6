"""Holds a share of an annotated pool out of curation, as benchmark sets."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import UserError
from components.selection.reference_set import choose_reference_set
from components.storage import write_json

Record = Mapping[str, object]  # of LLaVA JSON


class HoldOutError(UserError, ValueError):
    """The pool cannot be divided; the message names the file, record or task."""


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

    Writes `pool.json` and one `TASK.json` per task into `target`. An image that one task holds out leaves the pool in
    every task: each of its records goes to the benchmark set of the record's own task, which may then hold more than
    its share. The tasks take images in one common order, so that those they have in common are mostly the same.

    Args:
        pool: LLaVA JSON; every record has `id`, `image` and `task`.
        annotations: LLaVA JSON with the same fields and the conversations of (at least) the held-out records.
        target: folder to write.
        share: of the images of every task, above 0 and below 1; rounded up.
        seed: the division is the same for the same seed, and stable when the pool grows.

    Returns:
        One record per task, sorted by task.

    Raises:
        HoldOutError: `share` is out of range, a file is not such a list, two tasks would be written to one file, or a
            held-out record has no conversation. Nothing has been written then.
    """
    if not 0 < share < 1:
        raise HoldOutError(f"share is {share}; it must lie between 0 and 1, e.g. 0.2")
    records = _read_records(pool)
    held = _held_out_images(records, share=share, seed=seed)
    conversations = {_identity(record): record for record in _read_records(annotations) if record.get("conversations")}
    own: dict[str, list[Record]] = {task: [] for task in sorted({str(record["task"]) for record in records})}
    for record in records:
        own[str(record["task"])].append(record)
    names = _file_names(own)
    out = {task: [record for record in own[task] if record["image"] in held] for task in own}
    for task, chosen in out.items():
        bare = [record["id"] for record in chosen if _identity(record) not in conversations]
        if bare:
            raise HoldOutError(
                f"{annotations} has no conversation for {len(bare)} records of task {task!r}, e.g. {bare[0]!r}"
            )
    for task, chosen in out.items():
        write_json(target / names[task], [conversations[_identity(record)] for record in chosen])
    write_json(target / "pool.json", [record for record in records if record["image"] not in held])
    return tuple(
        HeldOutTask(task, target / names[task], len(chosen), len(own[task]) - len(chosen))
        for task, chosen in out.items()
    )


def _held_out_images(records: Sequence[Record], *, share: float, seed: int) -> set[str]:
    images_of_task: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        images_of_task[str(record["task"])].add(str(record["image"]))
    # An image has one place in the order of all its tasks, after the first of them: were its place another in each,
    # an image of five tasks would be drawn for five times.
    order_key: dict[str, str] = {}
    for task in sorted(images_of_task):
        for image in images_of_task[task]:
            order_key.setdefault(image, f"{task}\n{image}")
    held: set[str] = set()
    for task, distinct in images_of_task.items():
        images = sorted(distinct)
        keys = [order_key[image] for image in images]
        taken = choose_reference_set(keys, [task] * len(images), share=share, seed=seed)
        held.update(image for image, is_taken in zip(images, taken, strict=True) if is_taken)
    return held


def _identity(record: Record) -> tuple[object, object, object]:
    return record["id"], record["image"], record["task"]


def _read_records(file: Path) -> Sequence[Record]:
    try:
        records = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise HoldOutError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not JSON
        raise HoldOutError(f"{file} is not JSON: {error}") from None
    if not isinstance(records, list):
        raise HoldOutError(f"{file} must be a JSON list of records, is a {type(records).__name__}")
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise HoldOutError(f"{file}: record {number} must be an object, is a {type(record).__name__}")
        missing = [key for key in ("id", "image", "task") if key not in record]
        if missing:
            raise HoldOutError(f"{file}: record {number} has no {', '.join(missing)}")
        for key in ("image", "task"):
            if not isinstance(record[key], str) or not record[key]:
                raise HoldOutError(f"{file}: {key} of record {number} must be a text, is {record[key]!r}")
        if not isinstance(record["id"], str | int):
            raise HoldOutError(f"{file}: id of record {number} must be a text or a number, is {record['id']!r}")
    return records


def _file_names(tasks: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for task in tasks:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in task) + ".json"
        if name == "pool.json":
            raise HoldOutError(
                f"the benchmark set of task {task!r} would be {name}, the pool's own file; rename the task"
            )
        if name in owners:
            raise HoldOutError(f"tasks {owners[name]!r} and {task!r} would both be written to {name}; rename one")
        names[task], owners[name] = name, task
    return names
