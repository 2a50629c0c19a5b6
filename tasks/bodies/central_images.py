"""Picking the most central images of every cluster: what the strategies that do so have in common."""

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.models.embedding.vector_store import read_vectors
from components.schemas import ALLOCATION, CLUSTERS
from components.selection.cluster_cells import ClusterCells
from components.selection.select_pool import KEPT, fill_at_random, select_pool
from components.storage import fresh_directory, read_table, write_table
from tasks.bodies.encoder import ENCODER_PARAMETERS, vectors_key
from tasks.platform.stage_context import StageContext, StageSummary

CENTRALITY_PARAMETERS = ("allocate", "select", *ENCODER_PARAMETERS, "seed")


def select_central_images(context: StageContext, reference_ids: pa.Array, earlier: pa.Array) -> StageSummary:
    """Pick every cluster's quota by neighbour centrality (Eq. 7).

    Args:
        context: of the stage.
        reference_ids: samples that are annotated already and are not picked.
        earlier: samples that an earlier curation picked; they stay.
    """
    parameters = context.parameters
    allocation = read_table(context.input("allocation") / "allocation.parquet", ALLOCATION)
    table = select_pool(
        read_table(context.input("clusters") / "clusters.parquet", CLUSTERS),
        reference_ids,
        functools.partial(read_vectors, context.input("vectors"), model=vectors_key(parameters)),
        cells=_cells(allocation),
        quotas=allocation["quota"].to_numpy(),
        neighbours=parameters.select.neighbours,
        kept_ids=earlier,
        engine=context.engine,
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
