"""Why a sample was or was not picked, by what its row of the selection holds."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.explain.explanation import Explanation, Fact, Status, explanation_of
from components.explain.find_sample import PoolSample
from components.schemas import DROPPED, SELECTION
from components.strategies.run_files import RunFiles
from components.text import shortened

FactsOf = Callable[[dict[str, Any]], tuple[Fact, ...]]  # of a row of SELECTION


def explain_selected(
    sample: PoolSample, run: RunFiles, *, facts_of: FactsOf, dropped_by: Sequence[str] = ()
) -> Explanation:
    """Explain what became of a sample.

    Args:
        sample: of the pool.
        run: that has selected.
        facts_of: what the strategy knows of a row of the selection.
        dropped_by: artifacts whose `dropped.parquet` says, by sample id, why a sample never came to the selection.
    """
    selection = run.table("selection/selection.parquet", SELECTION)
    rows = selection.filter(pc.field("sample_id") == sample.sample_id).to_pylist()
    if rows:
        status: Status = "picked" if rows[0]["picked"] else "passed_over"
        return explanation_of(sample, status, f"It was {rows[0]['reason']}.", *facts_of(rows[0]))
    why = why_dropped(sample.sample_id, run, *dropped_by)
    return explanation_of(sample, "not_considered", f"It was not considered: {why}.")


def why_dropped(name: str, run: RunFiles, *artifacts: str) -> str:
    """Why something is not in the selection, in half a sentence.

    Args:
        name: as the artifacts call it: a sample id, or an image sha.
        run: that has selected.
        artifacts: that say what they dropped.
    """
    for artifact in artifacts:
        dropped = run.table(f"{artifact}/dropped.parquet", DROPPED).filter(pc.field("sample_id") == name).to_pylist()
        if dropped:
            return f"{dropped[0]['reason']} ({dropped[0]['detail']})"
    return "it came after the last selection"


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
    return f"the {count:,} of task {shortened(row['task'])}"
