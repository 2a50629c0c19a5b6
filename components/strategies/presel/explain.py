"""Why a sample was or was not picked by PreSel."""

import pyarrow.compute as pc

from components.explain.centrality import explain_by_centrality
from components.explain.explanation import Explanation, Fact
from components.explain.find_sample import PoolSample
from components.schemas import IMPORTANCE
from components.strategies.run_files import RunFiles


def explain(sample: PoolSample, run: RunFiles) -> Explanation:
    """How important its task is, then its cluster, and its place in it."""
    importance = run.table("scores/importance.parquet", IMPORTANCE)
    tasks = importance.filter(pc.field("task") == sample.task).to_pylist()
    return explain_by_centrality(
        sample,
        run,
        about_task=tuple(
            Fact(
                "importance",
                f"{task['weight']:.1%} of the budget, number "
                f"{(pc.sum(pc.greater(importance['weight'], task['weight'])).as_py() or 0) + 1} of "
                f"{importance.num_rows} tasks (mean instruction relevance score {task['score']:.4f}, lower is more "
                "important)",
            )
            for task in tasks
        ),
    )
