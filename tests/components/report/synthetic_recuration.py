"""The made-up run as a recuration: a third of the pool is new, with a task more, and a few images are gone."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import schemas
from components.recuration.pool_changes import pool_changes
from components.report.inputs import ReportInputs
from components.strategies.presel.changes import Recuration
from components.strategies.presel.reference_model import RetuneDecision
from components.strategies.presel.report import PreselEvidence
from tests.components.report.synthetic import make_inputs

NEW_TASK = "chart"
GONE = 9


def make_recurated_inputs() -> ReportInputs:
    """The run of `make_inputs`, which went on from an earlier one."""
    inputs = make_inputs()
    is_old = np.random.default_rng(3).random(inputs.samples.num_rows) < 0.7
    is_old &= np.array(inputs.samples["task"].to_pylist()) != NEW_TASK
    kept = inputs.samples.filter(pa.array(is_old))
    new = inputs.samples.filter(pa.array(~is_old))
    # Two files that have other bytes now, and seven that are no longer listed.
    gone = [
        {
            **row,
            "sample_id": f"caption/{at:020d}",
            "image_sha": f"{at:064d}",
            "uri": row["uri"] if at < 2 else f"data/images/gone-{at}.png",
        }
        for at, row in enumerate(new.filter(pc.equal(new["task"], "caption")).to_pylist()[:GONE])
    ]
    earlier = pa.concat_tables([kept, pa.Table.from_pylist(gone, schema=schemas.SAMPLES)])
    ids = pa.array(kept["sample_id"].to_pylist())
    in_selection = pc.is_in(inputs.selection["sample_id"], value_set=ids)
    recuration = Recuration(
        changes=pool_changes(earlier, inputs.samples, inputs.quarantine),
        earlier_reference=inputs.reference.filter(pc.is_in(inputs.reference["sample_id"], value_set=ids)),
        earlier_selection=inputs.selection.filter(in_selection),
        clustered_tasks=_clustered_tasks(sorted(set(inputs.samples["task"].to_pylist()))),
        kept=pa.Table.from_pylist(
            [{"task": "caption", "cluster": 0, "kept": 9, "due": 5, "over": 4}], schema=schemas.KEPT_QUOTAS
        ),
        reference_model=RetuneDecision(True, f"new task(s): {NEW_TASK}", inputs.reference.num_rows, 40),
    )
    assert isinstance(inputs.evidence, PreselEvidence)
    return replace(inputs, evidence=replace(inputs.evidence, recuration=recuration))


def _clustered_tasks(tasks: list[str]) -> pa.Table:
    rows = []
    for task in tasks:
        again = task == "color"
        row = dict.fromkeys(schemas.CLUSTERED_TASKS.names, math.nan) | {
            "task": task,
            "verdict": "new" if task == NEW_TASK else "clustered again" if again else "kept",
            "reason": "there were no clusters"
            if task == NEW_TASK
            else f"the new images lie {1.31 if again else 1.02} times as far as the old, p = 0.0002",
            "old_images": 300,
            "new_images": 0 if task == NEW_TASK else 120,
            "fitted": 300,
            "images_per_cluster": 60,
            "encoder": "sha256:0",
        }
        if task != NEW_TASK:
            row |= {"ratio": 1.31 if again else 1.02, "p_value": 0.0002 if again else 0.4}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=schemas.CLUSTERED_TASKS)
