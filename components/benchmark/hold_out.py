"""Holds a share of an annotated pool out of curation, as benchmark sets."""

import hashlib
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.errors import UserError
from components.output_folder import check_output_folder
from components.parameters.parameters import SourceParameters, TaskRule
from components.pool.json_array import JsonArrayError, read_json_records
from components.pool.locations import open_binary
from components.pool.reasons import ReasonCount, count_reasons
from components.pool.record_fields import parse_record
from components.pool.record_names import has_conversation
from components.pool.records import PoolRecord, RejectedRecord
from components.pool.task_rule import NoTaskError, derive_task
from components.selection.reference_set import choose_reference_set
from components.storage import write_json

_FIELD_TASK = TaskRule(field="task")
_LONGEST_NAME = 200  # bytes of a file's name; file systems allow 255, and a temporary name is longer


class HoldOutError(UserError, ValueError):
    """The pool cannot be divided; the message names the file, record or task."""


@dataclass(frozen=True, slots=True)
class HeldOutTask:
    """How one task was divided.

    Attributes:
        task: the task.
        file: its benchmark set, LLaVA JSON with conversations.
        held_out: records in it: each conversation once.
        kept: records left in the pool.
    """

    task: str
    file: Path
    held_out: int
    kept: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record that can be divided: what it is called, and as it stands in the file."""

    record: PoolRecord
    value: object


def hold_out_benchmark(
    pool: Path,
    annotations: Path,
    target: Path,
    *,
    share: float,
    seed: int,
    rule: TaskRule = _FIELD_TASK,
    overwrite: bool = False,
) -> tuple[HeldOutTask, ...]:
    """Divide a pool: a share of every task becomes a benchmark set, the rest is the pool that is curated.

    Writes `pool.json` and one `TASK.json` per task into `target`. An image that one task holds out leaves the pool in
    every task: each of its records goes to the benchmark set of the record's own task, which may then hold more than
    its share. The tasks take images in one common order, so that those they have in common are mostly the same.
    Records that ingest would not use stay in the pool as they are; `undivided_records` counts them.

    Args:
        pool: LLaVA JSON; id, image and task of a record are found as ingest finds them.
        annotations: LLaVA JSON with the conversations of (at least) the held-out records; a record that says nothing of
            its task is one of any.
        target: folder to write; must be empty or new unless `overwrite`.
        share: of the images of every task, above 0 and below 1; rounded up.
        seed: the division is the same for the same seed, and stable when the pool grows.
        rule: how a record's task is found.
        overwrite: files of an earlier division may be replaced; `pool` and `annotations` never are.

    Returns:
        One record per task, sorted by task.

    Raises:
        HoldOutError: `share` is out of range, a file is not such a list, no record can be divided, two tasks would be
            written to one file, a file of the pool would be written over, or a held-out record has no conversation.
            Nothing has been written then.
        OutputFolderError: the folder cannot be written as asked.
    """
    if not 0 < share < 1:
        raise HoldOutError(f"share is {share}; it must lie between 0 and 1, e.g. 0.2")
    check_output_folder(target, overwrite=overwrite)
    values = _read_records(pool)
    entries, rejected = _entries(values, pool, rule)
    if not entries:
        first = f"; the first: {rejected[0].detail}" if rejected else ""
        raise HoldOutError(f"{pool}: none of its {len(values)} records can be divided{first}")
    held = _held_out_images([entry.record for entry in entries], share=share, seed=seed)
    said = _conversations(annotations, rule)
    own: dict[str, list[PoolRecord]] = {task: [] for task in sorted({entry.record.task for entry in entries})}
    for entry in entries:
        own[entry.record.task].append(entry.record)
    names = _file_names(own)
    out = {task: [record for record in own[task] if record.uri in held] for task in own}
    found = {task: _spoken_once(chosen, said) for task, chosen in out.items()}
    for task, chosen in out.items():
        bare = [record.record_id for record in chosen if not _spoken(record, said)]
        if bare:
            raise HoldOutError(
                f"{annotations} has no conversation for {len(bare)} records of task {task!r}, e.g. {bare[0]!r}"
            )
    _keep_inputs((pool, annotations), [target / name for name in ("pool.json", *names.values())])
    for task in out:
        write_json(target / names[task], found[task])
    away = {id(entry.value) for entry in entries if entry.record.uri in held}
    write_json(target / "pool.json", [value for value in values if id(value) not in away])
    return tuple(
        HeldOutTask(task, target / names[task], len(found[task]), len(own[task]) - len(chosen))
        for task, chosen in out.items()
    )


def undivided_records(pool: Path, *, rule: TaskRule = _FIELD_TASK) -> tuple[ReasonCount, ...]:
    """Count the records that `hold_out_benchmark` leaves in the pool because ingest would not use them.

    Raises:
        HoldOutError: the file is not a list.
    """
    _, rejected = _entries(_read_records(pool), pool, rule)
    return count_reasons(pa.table({"reason": pa.array([str(one.reason) for one in rejected], pa.string())}))


def _keep_inputs(inputs: Sequence[Path], written: Sequence[Path]) -> None:
    for file in inputs:
        if any(other.exists() and other.samefile(file) for other in written):
            raise HoldOutError(f"{file} would be written over by its own division: name another folder")


def _held_out_images(records: Sequence[PoolRecord], *, share: float, seed: int) -> set[str]:
    images_of_task: defaultdict[str, set[str]] = defaultdict(set)
    names: dict[str, str] = {}
    for record in records:
        images_of_task[record.task].add(record.uri)
        names.setdefault(record.uri, record.image)
    # An image has one place in the order of all its tasks, after the first of them: were its place another in each,
    # an image of five tasks would be drawn for five times.
    order_key: dict[str, str] = {}
    for task in sorted(images_of_task):
        for image in images_of_task[task]:
            order_key.setdefault(image, f"{task}\n{names[image]}")
    held: set[str] = set()
    for task, distinct in images_of_task.items():
        images = sorted(distinct)
        keys = [order_key[image] for image in images]
        taken = choose_reference_set(keys, [task] * len(images), share=share, seed=seed)
        held.update(image for image, is_taken in zip(images, taken, strict=True) if is_taken)
    return held


def _read_records(file: Path) -> list[object]:
    try:
        with open_binary(str(file)) as stream:
            return list(read_json_records(stream.read))
    except OSError as error:
        raise HoldOutError(f"{file} cannot be read: {error.strerror or error}") from None
    except JsonArrayError as error:
        raise HoldOutError(f"{file} {error}") from None


def _entries(values: Sequence[object], file: Path, rule: TaskRule) -> tuple[list[_Entry], list[RejectedRecord]]:
    """The records that can be divided, and the others with the reason that ingest has."""
    # Where the images are plays no part: paths are compared, absolute ones too.
    source = SourceParameters(kind="llava_json", path=str(file), image_root="/", task=rule)
    parsed = [parse_record(value, number=count, file=str(file), source=source) for count, value in enumerate(values, 1)]
    entries = [_Entry(one, value) for one, value in zip(parsed, values, strict=True) if isinstance(one, PoolRecord)]
    return entries, [one for one in parsed if isinstance(one, RejectedRecord)]


_Said = dict[tuple[str, str], list[tuple[str | None, object]]]  # by id and image: the task, if any, and the record


def _conversations(annotations: Path, rule: TaskRule) -> _Said:
    values = _read_records(annotations)
    spoken = [value for value in values if isinstance(value, Mapping) and has_conversation(value)]
    # Found by id and image first: the record may say nothing of its task.
    entries, rejected = _entries(spoken, annotations, TaskRule(constant="any"))
    if rejected and not entries:
        raise HoldOutError(
            f"{annotations}: none of its {len(values)} records is usable; the first: {rejected[0].detail}"
        )
    said: _Said = {}
    for entry in entries:
        said.setdefault((entry.record.record_id, entry.record.uri), []).append((_task(entry, rule), entry.value))
    return said


def _task(entry: _Entry, rule: TaskRule) -> str | None:
    assert isinstance(entry.value, Mapping)
    try:
        return derive_task(rule, fields=entry.value, path=posixpath.normpath(entry.record.image))
    except NoTaskError:
        return None


def _spoken_once(records: Sequence[PoolRecord], said: _Said) -> list[object]:
    """All that is said of some records; several may have one id and image, as in LLaVA's own files."""
    distinct = {(record.record_id, record.uri): record for record in records}
    return [value for record in distinct.values() for value in _spoken(record, said)]


def _spoken(record: PoolRecord, said: _Said) -> list[object]:
    """All that is said of a record's id and image in its task."""
    return [value for task, value in said.get((record.record_id, record.uri), ()) if task in (None, record.task)]


def _file_names(tasks: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for task in tasks:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in task)
        if len(name.encode()) > _LONGEST_NAME:
            name = (
                name.encode()[: _LONGEST_NAME // 2].decode(errors="ignore") + hashlib.sha256(task.encode()).hexdigest()
            )
        name += ".json"
        if name == "pool.json":
            raise HoldOutError(
                f"the benchmark set of task {task!r} would be {name}, the pool's own file; rename the task"
            )
        if name in owners:
            raise HoldOutError(f"tasks {owners[name]!r} and {task!r} would both be written to {name}; rename one")
        names[task], owners[name] = name, task
    return names
