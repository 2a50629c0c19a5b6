"""Why a sample was or was not drawn by a strategy that looks at no image: by its chance."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.explain.explanation import Explanation, Fact
from components.explain.find_sample import PoolSample
from components.explain.selected import explain_selected
from components.schemas import SELECTION
from components.strategies.run_files import RunFiles


def explain_drawn(sample: PoolSample, run: RunFiles) -> Explanation:
    """Explain what became of a sample.

    Args:
        sample: of the pool.
        run: that has drawn.
    """
    selection = run.table("selection/selection.parquet", SELECTION)

    def chance(row: dict[str, Any]) -> tuple[Fact, ...]:
        return (Fact("chance", f"{row['quota']:,} samples were drawn from {_drawn_from(row, selection)}"),)

    return explain_selected(sample, run, facts_of=chance)


def _drawn_from(row: dict[str, Any], selection: pa.Table) -> str:
    if row["quota"] == pc.sum(selection["picked"]).as_py():
        return f"the pool of {selection.num_rows:,}"
    count = selection.filter(pc.field("task") == row["task"]).num_rows
    return f"the {count:,} of task {row['task']}"
