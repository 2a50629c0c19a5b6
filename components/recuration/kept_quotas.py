"""What is kept of an earlier selection, cluster by cluster, and how much of it is beyond the cluster's share."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.schemas import KEPT_QUOTAS
from components.selection.cluster_cells import ClusterCells


def kept_ids(earlier: pa.Table) -> pa.Array:
    """Sample ids that an earlier curation picked, from its SELECTION."""
    picked = earlier.filter(pc.and_(earlier["picked"], pc.invert(earlier["is_reference"])))
    return picked["sample_id"].combine_chunks()


def count_kept(
    clusters: pa.Table, ids: pa.Array, is_reference: NDArray[np.bool_], cells: ClusterCells
) -> NDArray[np.int64]:
    """Count the kept images of every cell.

    An image that has joined the reference set since is no longer one of the selection, and one that has left the pool
    is in no cluster.

    Args:
        clusters: CLUSTERS, `n` rows.
        ids: sample ids that were picked earlier.
        is_reference: `(n,)`, true for members of the reference set.
        cells: the clusters, as `count_cluster_cells` returned them.

    Returns:
        `(K,)` images.
    """
    kept = clusters.filter(pa.array(np.asarray(pc.is_in(clusters["sample_id"], value_set=ids)) & ~is_reference))
    counts = Counter(zip(kept["task"].to_pylist(), kept["cluster"].to_pylist(), strict=True))
    return np.array([counts[cell] for cell in zip(cells.tasks, cells.clusters.tolist(), strict=True)], dtype=np.int64)


def kept_quotas(cells: ClusterCells, kept: NDArray[np.int64], due: NDArray[np.int64]) -> pa.Table:
    """Say of every cluster that keeps images how many, and how many of them it would not be given today.

    Args:
        cells: the clusters.
        kept: `(K,)` images kept.
        due: `(K,)` quotas if nothing were kept anywhere.

    Returns:
        KEPT_QUOTAS.
    """
    over = np.maximum(kept - due, 0)  # (K,)
    table = pa.table([cells.tasks, cells.clusters, kept, due, over], schema=KEPT_QUOTAS)
    return table.filter(pa.array(kept > 0))
