"""Tables that several stages write."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.pool.samples import Dropped
from components.schemas import DROPPED
from components.storage import fresh_directory, write_table
from tasks.platform.stage_context import StageContext, StageSummary


def write_dropped(directory: Path, dropped: Sequence[Dropped]) -> None:
    """Write `dropped.parquet`: what a stage left out, and why."""
    rows = sorted(dropped, key=lambda item: item.sample_id)
    columns = [
        [item.sample_id for item in rows],
        [item.reason for item in rows],
        [item.detail for item in rows],
    ]
    write_table(directory / "dropped.parquet", pa.table(columns, schema=DROPPED))


def save_selection(context: StageContext, table: pa.Table) -> StageSummary:
    """Write `selection.parquet`, columns of `components.schemas.SELECTION`."""
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    return StageSummary(table.num_rows, f"{picked:,} of {table.num_rows:,} samples picked", (("picked", picked),))
