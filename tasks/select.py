"""Stages select: the most central images of every cluster."""

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.embedding.vector_store import encoder_fingerprint, read_vectors
from components.schemas import ALLOCATION, CHOSEN, CLUSTERS
from components.selection.cluster_cells import ClusterCells
from components.selection.select_pool import fill_at_random, select_pool
from components.storage import fresh_directory, read_table, write_table
from tasks.stage import StageContext, StageSummary, stage_task


@stage_task("select")
def select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota."""
    reference = read_table(context.input("reference") / "reference.parquet", CHOSEN)
    return _select(context, reference["sample_id"].combine_chunks())


@stage_task("size_balanced_select")
def size_balanced_select(context: StageContext) -> StageSummary:
    """Pick every cluster's quota; there is no reference set to leave out."""
    return _select(context, pa.array([], pa.string()))


def _select(context: StageContext, reference_ids: pa.Array) -> StageSummary:
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
    )
    if parameters.allocate.rounding == "released":
        budget = round(pc.sum(allocation["share"]).as_py())
        table = fill_at_random(table, budget=budget, rng=np.random.default_rng(parameters.seed))
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    note = f"{picked:,} of {table.num_rows - len(reference_ids):,} images picked"
    return StageSummary(table.num_rows, note, (("picked", picked),))


def _cells(allocation: pa.Table) -> ClusterCells:
    return ClusterCells(
        tasks=tuple(allocation["task"].to_pylist()),
        clusters=allocation["cluster"].to_numpy(),
        sizes=allocation["size"].to_numpy(),
        available=allocation["available"].to_numpy(),
    )
