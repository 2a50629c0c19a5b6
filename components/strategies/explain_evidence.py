"""Why a sample was or was not picked by TIVE, COINCIDE or a control, in the strategy's own terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.selection.nearest_picked import nearest_picked
from components.strategies.explain import Explanation, Fact, Status, explain_quarantined
from components.strategies.find_sample import QuarantinedRecord, find_sample

ReadFeatures = Callable[[Sequence[str]], NDArray[np.float32]]  # sample ids to (n, d) in their order
FactsOf = Callable[[dict[str, Any]], tuple[Fact, ...]]  # of a row of SELECTION


@dataclass(frozen=True, slots=True)
class SelectionTables:
    """What explains any selection; columns in `components.schemas`.

    Attributes:
        samples: SAMPLES.
        quarantine: QUARANTINE.
        selection: SELECTION.
        dropped: DROPPED of the stages before it, by sample id.
    """

    samples: pa.Table
    quarantine: pa.Table
    selection: pa.Table
    dropped: pa.Table


def explain_selected(name: str, tables: SelectionTables, *, facts_of: FactsOf) -> Explanation:
    """Explain what became of a sample.

    Args:
        name: a sample id, a record id, an image path or the start of an image's sha256.
        tables: of the curation run.
        facts_of: what the strategy knows of a row of the selection.

    Returns:
        The explanation.

    Raises:
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    found = find_sample(name, tables.samples, tables.quarantine)
    if isinstance(found, QuarantinedRecord):
        return explain_quarantined(found)
    rows = tables.selection.filter(pc.field("sample_id") == found.sample_id).to_pylist()
    if rows:
        row = rows[0]
        status: Status = "picked" if row["picked"] else "passed_over"
        sentence, facts = f"It was {row['reason']}.", facts_of(row)
    else:
        dropped = tables.dropped.filter(pc.field("sample_id") == found.sample_id).to_pylist()
        why = f"{dropped[0]['reason']} ({dropped[0]['detail']})" if dropped else "it came after the last selection"
        status, sentence, facts = "not_considered", f"It was not considered: {why}.", ()
    return Explanation(
        name=found.sample_id,
        task=found.task,
        uri=found.uri,
        record_ids=found.record_ids,
        status=status,
        sentence=sentence,
        near_duplicate_of=found.near_duplicate_of,
        facts=facts,
    )


def tive_facts(
    row: dict[str, Any], *, influence: pa.Table, difficulty: pa.Table, warm_up: pa.Table
) -> tuple[Fact, ...]:
    """What TIVE knows of a sample.

    Args:
        row: of SELECTION.
        influence: INFLUENCE.
        difficulty: DIFFICULTY.
        warm_up: CHOSEN.
    """
    (own,) = influence.filter(pc.field("sample_id") == row["sample_id"]).to_pylist()
    (task,) = difficulty.filter(pc.field("task") == row["task"]).to_pylist()
    harder = pc.sum(pc.greater(difficulty["difficulty"], task["difficulty"])).as_py() or 0
    in_warm_up = pc.any(pc.equal(warm_up["sample_id"], row["sample_id"])).as_py()
    count = task["samples"]
    return (
        Fact(
            "difficulty",
            f"{task['difficulty']:.4f}, number {harder + 1} of {difficulty.num_rows} tasks (mean gradient norm, higher "
            f"gets more): {task['share']:.1%} of the budget, {task['quota']:,} of {count:,} samples",
        ),
        Fact(
            "influence",
            f"{own['influence']:.4f}, number {row['rank']:,} of {count:,} in the task (mean cosine to the task's "
            "gradients, higher is likelier)",
        ),
        Fact("gradient", f"norm {own['gradient_norm']:.4f}"),
        Fact(
            "probability",
            f"{own['probability']:.3g} per draw, {own['probability'] * count:.4f} times that of a uniform draw",
        ),
        *([Fact("copies", f"trained on {row['copies']} times")] if row["copies"] > 1 else []),
        *([Fact("warm-up", "it is in the warm-up set of the reference model")] if in_warm_up else []),
    )


def coincide_facts(
    row: dict[str, Any], *, concepts: pa.Table, shares: pa.Table, selection: pa.Table, read_features: ReadFeatures
) -> tuple[Fact, ...]:
    """What COINCIDE knows of a sample.

    Args:
        row: of SELECTION.
        concepts: CONCEPTS.
        shares: CONCEPT_SHARES.
        selection: SELECTION.
        read_features: sample ids to activations.
    """
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
        *_nearest_pick(row, selection, read_features),
    )


def control_facts(row: dict[str, Any], *, selection: pa.Table) -> tuple[Fact, ...]:
    """What a control knows of a sample: its chance."""
    return (Fact("chance", f"{row['quota']:,} samples were drawn from {_drawn_from(row, selection)}"),)


def _drawn_from(row: dict[str, Any], selection: pa.Table) -> str:
    picked = pc.sum(selection["picked"]).as_py()
    if row["quota"] == picked:
        return f"the pool of {selection.num_rows:,}"
    count = selection.filter(pc.field("task") == row["task"]).num_rows
    return f"the {count:,} of task {row['task']}"


def _nearest_pick(row: dict[str, Any], selection: pa.Table, read_features: ReadFeatures) -> tuple[Fact, ...]:
    others = selection.filter(
        (pc.field("cluster") == row["cluster"]) & pc.field("picked") & (pc.field("sample_id") != row["sample_id"])
    )["sample_id"].to_pylist()
    if not others:
        return ()
    vectors = read_features([*others, row["sample_id"]])  # (picked + 1, d)
    is_picked = np.ones(len(vectors), dtype=np.bool_)  # (picked + 1,)
    is_picked[-1] = False
    nearest = nearest_picked(vectors, is_picked, rows=np.array([len(vectors) - 1], dtype=np.int64))
    return (Fact("nearest pick", f"{others[int(nearest.rows[0])]}, cosine of activations {nearest.cosines[0]:.4f}"),)
