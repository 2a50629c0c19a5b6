"""Stages select: the most central images of every cluster."""

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.recuration.kept_quotas import kept_ids
from components.schemas import ALLOCATION, CHOSEN, CLUSTERS, SELECTION
from components.selection.cluster_cells import ClusterCells
from components.selection.select_pool import KEPT, fill_at_random, select_pool
from components.storage import fresh_directory, read_table, write_table
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("select")
def select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota; what an earlier curation picked stays."""
    reference = read_table(context.input("reference") / "reference.parquet", CHOSEN)
    earlier = read_table(context.input("earlier/selection") / "selection.parquet", SELECTION)
    return _select(context, reference["sample_id"].combine_chunks(), kept_ids(earlier))


@stage_task("size_balanced_select")
def size_balanced_select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota; there is no reference set to leave out."""
    nobody = pa.array([], pa.string())
    return _select(context, nobody, nobody)


def _select(context: StageContext, reference_ids: pa.Array, earlier: pa.Array) -> StageSummary:
    parameters, encoder = context.parameters, context.parameters.encoder
    allocation = read_table(context.input("allocation") / "allocation.parquet", ALLOCATION)
    model = encoder_fingerprint(encoder.model, encoder.revision, dtype=encoder.dtype)
    table = select_pool(
        read_table(context.input("clusters") / "clusters.parquet", CLUSTERS),
        reference_ids,
        functools.partial(read_vectors, context.input("vectors"), model=model),
        cells=_cells(allocation),
        quotas=allocation["quota"].to_numpy(),
        neighbours=parameters.select.neighbours,
        kept_ids=earlier,
    )
    if parameters.allocate.rounding == "released":
        budget = round(pc.sum(allocation["share"]).as_py())
        table = fill_at_random(table, budget=budget, rng=np.random.default_rng(parameters.seed))
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    kept = pc.sum(pc.equal(table["reason"], KEPT)).as_py()
    note = f"{picked:,} of {table.num_rows - len(reference_ids):,} images picked, {kept:,} of them kept"
    return StageSummary(table.num_rows, note, (("picked", picked), ("kept", kept), ("added", picked - kept)))


def _cells(allocation: pa.Table) -> ClusterCells:
    return ClusterCells(
        tasks=tuple(allocation["task"].to_pylist()),
        clusters=allocation["cluster"].to_numpy(),
        sizes=allocation["size"].to_numpy(),
        available=allocation["available"].to_numpy(),
    )
