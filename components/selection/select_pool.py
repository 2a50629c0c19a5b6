"""The selection over a whole pool, one task's vectors in memory at a time, with a reason for every sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.compute.engine import Engine
from components.schemas import SELECTION
from components.selection.by_task import tasks_of
from components.selection.cluster_cells import ClusterCells
from components.selection.cluster_tasks import LoadVectors
from components.selection.drawn_selection import select_random
from components.selection.select import SelectionResult, select_samples

# Why a sample was or was not picked (column `reason`).
IN_REFERENCE_SET = "in the reference set, which is annotated anyway"
CENTRAL_ENOUGH = "picked: its rank in the cluster is within the quota"
FILLED_AT_RANDOM = "picked at random to use up the budget that rounding left (profile released)"
BEYOND_QUOTA = "passed over: its rank in the cluster is beyond the quota"
NO_QUOTA = "passed over: its cluster was given no image"
KEPT = "kept: an earlier curation picked it"
BEHIND_KEPT = "passed over: what is kept of an earlier curation leaves its cluster no room for its rank"


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    members: pa.Table  # CLUSTERS, n rows
    is_reference: NDArray[np.bool_]  # (n,)
    is_kept: NDArray[np.bool_]  # (n,)
    vectors: NDArray[np.float32]  # (n, d)


def select_pool(
    clusters: pa.Table,
    reference_ids: pa.Array,
    load_vectors: LoadVectors,
    *,
    cells: ClusterCells,
    quotas: NDArray[np.int64],
    neighbours: int,
    kept_ids: pa.Array | None = None,
    engine: Engine,
) -> pa.Table:
    """Pick each cluster's quota by neighbour centrality (Eq. 7), task by task.

    Args:
        clusters: CLUSTERS.
        reference_ids: sample ids of the reference set.
        load_vectors: image shas to `(n, d)` float32 in their order.
        cells: the clusters, as `count_cluster_cells` returned them.
        quotas: `(K,)` int64, images to pick from each cell.
        neighbours: k of Eq. 7.
        kept_ids: sample ids that an earlier curation picked and that stay picked; None: none.
        engine: where images are ranked; the vectors of a task are read when it takes the task.

    Returns:
        SELECTION, sorted by sample_id.

    Raises:
        ValueError: the quotas do not fit the clusters.
    """

    def asked() -> Iterator[_Task]:
        for _, members in tasks_of(clusters):
            is_reference = np.asarray(pc.is_in(members["sample_id"], value_set=reference_ids))  # (n,)
            is_kept = _is_kept(members, kept_ids, is_reference)  # (n,)
            yield _Task(members, is_reference, is_kept, load_vectors(members["image_sha"].to_pylist()))

    select = partial(_select_task, cells=cells, quotas=quotas, neighbours=neighbours)
    parts = list(engine.each(asked(), select, name="select"))
    return pa.concat_tables(parts).sort_by("sample_id").combine_chunks()


def _select_task(given: _Task, *, cells: ClusterCells, quotas: NDArray[np.int64], neighbours: int) -> pa.Table:
    members = given.members
    result = select_samples(
        members["sample_id"].to_pylist(),
        members["task"].to_pylist(),
        members["cluster"].to_numpy(),
        given.is_reference,
        given.vectors,
        cells=cells,
        quotas=quotas,
        neighbours=neighbours,
        is_kept=given.is_kept,
    )
    return _rows(members, given.is_reference, given.is_kept, result)


def fill_at_random(selection: pa.Table, *, budget: int, rng: np.random.Generator) -> pa.Table:
    """Pick what is missing from the budget uniformly among the rest, as the released code does.

    Args:
        selection: SELECTION.
        budget: |D_S|, images that should be picked.
        rng: source of the draw.

    Returns:
        SELECTION with as many more picks as were missing and there are.
    """
    picked = selection["picked"].to_numpy()  # (n,)
    taken = picked | selection["is_reference"].to_numpy()  # (n,)
    missing = min(budget - int(picked.sum()), int((~taken).sum()))
    if missing <= 0:
        return selection
    filled = select_random(selection["sample_id"].to_pylist(), taken, budget=missing, rng=rng)  # (n,)
    reasons = np.where(filled, FILLED_AT_RANDOM, selection["reason"].to_numpy())
    changed = {
        "picked": pa.array(picked | filled),
        "copies": pa.array((picked | filled).astype(np.int64)),
        "reason": pa.array(reasons, pa.string()),
    }
    for name, column in changed.items():
        selection = selection.set_column(SELECTION.get_field_index(name), SELECTION.field(name), column)
    return selection


def _is_kept(members: pa.Table, kept_ids: pa.Array | None, is_reference: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if kept_ids is None:
        return np.zeros(members.num_rows, dtype=np.bool_)
    return np.asarray(pc.is_in(members["sample_id"], value_set=kept_ids)) & ~is_reference


def _rows(
    members: pa.Table, is_reference: NDArray[np.bool_], is_kept: NDArray[np.bool_], result: SelectionResult
) -> pa.Table:
    columns = [
        *(members[name] for name in SELECTION.names[:4]),
        pa.array(is_reference),
        pa.array(result.centrality),
        pa.array(result.rank),
        pa.array(result.quota),
        pa.array(result.picked),
        pa.array(result.picked.astype(np.int64)),
        pa.array(_reasons(is_reference, is_kept, result), pa.string()),
    ]
    return pa.table(columns, schema=SELECTION)


def _reasons(is_reference: NDArray[np.bool_], is_kept: NDArray[np.bool_], result: SelectionResult) -> Sequence[str]:
    behind_kept = ~result.picked & (result.rank <= result.quota)  # (n,)
    conditions = [is_reference, is_kept, result.picked, result.quota == 0, behind_kept]
    names = [IN_REFERENCE_SET, KEPT, CENTRAL_ENOUGH, NO_QUOTA, BEHIND_KEPT]
    reasons = np.select(conditions, names, BEYOND_QUOTA)  # (n,)
    return [str(reason) for reason in reasons]
