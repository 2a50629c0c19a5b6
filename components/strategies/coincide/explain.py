"""Why a sample was or was not picked by COINCIDE."""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from components.explain.explanation import Explanation, Fact
from components.explain.find_sample import PoolSample
from components.explain.selected import explain_selected
from components.models.features.feature_store import read_features
from components.schemas import CONCEPT_SHARES, CONCEPTS, SELECTION
from components.selection.nearest_picked import nearest_picked
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """Its concept cluster, how much of the budget that was given, and its place in it."""
    return explain_selected(
        sample, run, facts_of=lambda row: _facts(row, run), dropped_by=("instructions/pool", "activations")
    )


def _facts(row: dict[str, Any], run: RunFiles) -> tuple[Fact, ...]:
    concepts = run.table("concepts/concepts.parquet", CONCEPTS)
    shares = run.table("concept_shares/shares.parquet", CONCEPT_SHARES)
    (own,) = concepts.filter(pc.field("sample_id") == row["sample_id"]).to_pylist()
    (cluster,) = shares.filter(pc.field("cluster") == row["cluster"]).to_pylist()
    served = pc.sum(pc.greater(shares["share"], cluster["share"])).as_py() or 0
    place = f"number {row['rank']:,} of {row['quota']:,}" if row["rank"] else "not among them"
    return (
        Fact(
            "cluster",
            f"{row['cluster']} of the pool: {cluster['size']:,} samples of all tasks, {cluster['quota']:,} to pick",
        ),
        Fact(
            "share",
            f"{cluster['share']:.2%} of the budget, number {served + 1} of {shares.num_rows} clusters (transferability "
            f"{cluster['transferability']:.4f}, higher gets more; density {cluster['density']:.4f}, lower gets more)",
        ),
        Fact("centroid", f"cosine {own['similarity']:.4f}"),
        Fact("typicality", f"{row['score']:.4f} (mean kernel similarity to the cluster)"),
        Fact("picks", place),
        *_nearest_pick(row, run),
    )


def _nearest_pick(row: dict[str, Any], run: RunFiles) -> tuple[Fact, ...]:
    """The picked sample of the same cluster that is most like this one."""
    selection = run.table("selection/selection.parquet", SELECTION)
    others = selection.filter(
        (pc.field("cluster") == row["cluster"]) & pc.field("picked") & (pc.field("sample_id") != row["sample_id"])
    )["sample_id"].to_pylist()
    if not others:
        return ()
    vectors = read_features(run.path("activations"), [*others, row["sample_id"]])  # (picked + 1, d)
    is_picked = np.ones(len(vectors), dtype=np.bool_)  # (picked + 1,)
    is_picked[-1] = False
    nearest = nearest_picked(vectors, is_picked, rows=np.array([len(vectors) - 1], dtype=np.int64))
    return (Fact("nearest pick", f"{others[int(nearest.rows[0])]}, cosine of activations {nearest.cosines[0]:.4f}"),)
