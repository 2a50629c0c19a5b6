"""Why a sample was or was not drawn by TIVE."""

from typing import Any

import pyarrow.compute as pc

from components.explain.explanation import Explanation, Fact
from components.explain.find_sample import PoolSample
from components.explain.selected import explain_selected
from components.schemas import CHOSEN, DIFFICULTY, INFLUENCE
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """How difficult its task is, how much it influences the model, and its chance."""
    return explain_selected(
        sample, run, facts_of=lambda row: _facts(row, run), dropped_by=("instructions/pool", "gradients")
    )


def _facts(row: dict[str, Any], run: RunFiles) -> tuple[Fact, ...]:
    influence = run.table("influence/influence.parquet", INFLUENCE)
    difficulty = run.table("influence/difficulty.parquet", DIFFICULTY)
    warm_up = run.table("warm_up/warm_up.parquet", CHOSEN)
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
