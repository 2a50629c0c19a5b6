"""The training set: the reference set and the selection with their instructions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.pool.samples import Dropped, InstructedImage
from components.schemas import DROPPED, TRAINING_SAMPLES
from components.storage import read_table, write_json, write_table
from components.training_set.formats import llava_record, messages_table, training_samples

SAMPLES_NAME = "samples.parquet"
LLAVA_NAME = "train.json"
MESSAGES_NAME = "messages.parquet"
DROPPED_NAME = "dropped.parquet"


def assemble_training_set(
    samples: pa.Table, parts: Sequence[tuple[str, pa.Table]], *, copies: Mapping[str, int] | None = None
) -> pa.Table:
    """Put instructions and images together.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        parts: where each part comes from (`reference`, `selection`, `random` or `full`) and its instructions,
            columns of `components.schemas.INSTRUCTIONS`. A sample in several parts belongs to the first.
        copies: how often the samples are trained on, by id; once if not named.

    Returns:
        Columns of `components.schemas.TRAINING_SAMPLES`, sorted by sample id, each sample once.

    Raises:
        ValueError: an instruction's sample is not in the pool or its image is another one there, or nothing
            is left to train on.
    """
    instructed: dict[str, tuple[str, dict[str, object]]] = {}
    for origin, instructions in parts:
        for row in instructions.select(["sample_id", "task", "image_sha", "turns"]).to_pylist():
            instructed.setdefault(row["sample_id"], (origin, row))
    if not instructed:
        raise ValueError(f"no sample of {[origin for origin, _ in parts]} has an instruction: nothing to train on")
    places = _places(samples, sorted(instructed))
    rows = []
    repeated = copies or {}
    for sample_id in sorted(instructed):
        origin, row = instructed[sample_id]
        image_sha, uri = places.get(sample_id, ("", ""))
        if image_sha != row["image_sha"]:
            found = f"image {image_sha[:12]}" if image_sha else "no such sample"
            raise ValueError(
                f"instruction of {sample_id!r} is for image {str(row['image_sha'])[:12]}, the manifest has "
                f"{found}: the two belong to different pools; run the stages after ingest again"
            )
        rows.append({**row, "uri": uri, "origin": origin, "copies": repeated.get(sample_id, 1)})
    return pa.Table.from_pylist(rows, schema=TRAINING_SAMPLES)


def write_training_set(directory: Path, table: pa.Table, *, dropped: Sequence[Dropped] = ()) -> None:
    """Write a training set in every notation.

    `samples.parquet` is the set, `train.json` the same as LLaVA JSON, `messages.parquet` as TRL reads it,
    `dropped.parquet` what was chosen and has no instruction. Image paths are those of the manifest.

    Args:
        directory: where.
        table: columns of `components.schemas.TRAINING_SAMPLES`.
        dropped: chosen samples that are not in the table, with reasons.
    """
    table = table.sort_by("sample_id")
    samples = training_samples(table)
    images = [sample.uri for sample in samples]
    write_table(directory / SAMPLES_NAME, table)
    write_json(directory / LLAVA_NAME, [llava_record(sample, sample.uri) for sample in samples])
    write_table(directory / MESSAGES_NAME, messages_table(samples, images))
    rows = [
        {"sample_id": one.sample_id, "reason": one.reason, "detail": one.detail}
        for one in sorted(dropped, key=lambda one: (one.sample_id, one.reason))
    ]
    write_table(directory / DROPPED_NAME, pa.Table.from_pylist(rows, schema=DROPPED))


def read_training_set(directory: Path) -> pa.Table:
    """Read back `components.schemas.TRAINING_SAMPLES` of a training set."""
    return read_table(directory / SAMPLES_NAME, TRAINING_SAMPLES)


def read_training_samples(directory: Path) -> tuple[InstructedImage, ...]:
    """Read back the samples of a training set as records, sorted by sample id."""
    return training_samples(read_training_set(directory))


def _places(samples: pa.Table, sample_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    wanted = pa.array(sample_ids, pa.string())
    found = samples.filter(pc.is_in(samples["sample_id"], value_set=wanted))
    rows = found.select(["sample_id", "image_sha", "uri"]).to_pylist()
    return {row["sample_id"]: (row["image_sha"], row["uri"]) for row in rows}
