"""Why a sample was or was not picked by neighbour centrality, in the terms of its cluster."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.explain.explanation import Explanation, Fact, Status, explanation_of
from components.explain.find_sample import PoolSample
from components.explain.selected import why_dropped
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.schemas import ALLOCATION, SAMPLES, SELECTION
from components.selection.nearest_picked import nearest_picked
from components.selection.select_pool import BEHIND_KEPT, KEPT
from components.strategies.run_files import RunFiles
from components.text import shortened


def explain_by_centrality(sample: PoolSample, run: RunFiles, *, about_task: tuple[Fact, ...] = ()) -> Explanation:
    """Explain what became of a sample.

    Args:
        sample: of the pool.
        run: that has clustered, allocated and selected.
        about_task: what the strategy knows of the sample's task.

    Raises:
        ValueError: selection and allocation belong to different runs.
    """
    selection = run.table("selection/selection.parquet", SELECTION)
    allocation = run.table("allocation/allocation.parquet", ALLOCATION)
    rows = selection.filter(pc.field("sample_id") == sample.sample_id).to_pylist()
    if not rows:
        # A vector belongs to an image, whatever its tasks are.
        why = f"because its image has no vector: {why_dropped(sample.image_sha, run, 'vectors')}"
        return explanation_of(sample, "not_considered", f"It was not considered, {why}.", *about_task)
    row, cell = rows[0], _cell(rows[0], allocation)
    status: Status = "reference" if row["is_reference"] else "picked" if row["picked"] else "passed_over"
    facts = (*about_task, *_standing(row, cell, selection), *_nearest_pick(sample, row["cluster"], selection, run))
    return explanation_of(sample, status, _sentence(status, row, cell), *facts)


def _cell(row: dict[str, Any], allocation: pa.Table) -> dict[str, Any]:
    """The sample's cluster, a row of ALLOCATION."""
    cells = allocation.filter((pc.field("task") == row["task"]) & (pc.field("cluster") == row["cluster"])).to_pylist()
    if not cells:
        raise ValueError(
            f"cluster {row['cluster']} of task {row['task']!r} has no allocation: the tables belong to "
            "different runs; run the pipeline again"
        )
    found: dict[str, Any] = cells[0]
    return found


def _sentence(status: Status, row: dict[str, Any], cell: dict[str, Any]) -> str:
    if status == "reference":
        return (
            f"It is in the reference set, the share of task {shortened(row['task'])!r} that is annotated first to find "
            "out how important the task is."
        )
    rank, quota, reason = row["rank"], cell["quota"], row["reason"]
    standing = f"it is number {rank} of {cell['available']} available images by centrality"
    if reason == KEPT:
        return f"It is kept: an earlier curation picked it. Today {standing}, and its cluster is given {quota}."
    if reason == BEHIND_KEPT:
        return f"It was not picked: {standing}, and what an earlier curation picked in its cluster goes before."
    if status == "picked" and rank > quota:
        # Not by its rank: the table knows better.
        return f"It was picked although {standing} and its cluster was given {quota}: {reason}."
    if status == "picked":
        return f"It was picked: {standing}, and its cluster was given {quota}."
    if quota == 0:
        return (
            f"It was not picked: its cluster of {cell['size']} images has a share of {cell['share']:.2f} images of "
            "the budget, which rounds to none."
        )
    return f"It was not picked: {standing}, and its cluster was given {quota}."


def _standing(row: dict[str, Any], cell: dict[str, Any], selection: pa.Table) -> tuple[Fact, ...]:
    has_reference_set = pc.any(selection["is_reference"]).as_py()
    outside = f"{cell['available']} outside the reference set, " if has_reference_set else ""
    cluster = Fact("cluster", f"{cell['cluster']} of the task: {cell['size']} images, {outside}{cell['quota']} to pick")
    if row["is_reference"]:
        return (cluster,)
    return (cluster, Fact("centrality", f"{row['score']:.4f}, rank {row['rank']} of {cell['available']}"))


def _nearest_pick(sample: PoolSample, cluster: int, selection: pa.Table, run: RunFiles) -> tuple[Fact, ...]:
    """The picked image of the same task that is most like the sample."""
    others = selection.filter(
        (pc.field("task") == sample.task) & pc.field("picked") & (pc.field("sample_id") != sample.sample_id)
    )
    if not others.num_rows:
        return ()
    encoder = run.parameters.encoder
    vectors = read_vectors(
        run.path("vectors"),
        [*others["image_sha"].to_pylist(), sample.image_sha],
        model=encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype),
    )  # (picked + 1, d)
    is_picked = np.ones(len(vectors), dtype=np.bool_)  # (picked + 1,)
    is_picked[-1] = False
    nearest = nearest_picked(vectors, is_picked, rows=np.array([len(vectors) - 1], dtype=np.int64))
    found = others.slice(int(nearest.rows[0]), 1).to_pylist()[0]
    samples = run.table("manifest/samples.parquet", SAMPLES)
    place = samples.filter(pc.field("sample_id") == found["sample_id"])["uri"].to_pylist()
    where = "in the same cluster" if found["cluster"] == cluster else "in another cluster of the task"
    text = f"{found['sample_id']} ({place[0] if place else ''}), cosine {float(nearest.cosines[0]):.4f}, {where}"
    return (Fact("nearest pick", text),)
