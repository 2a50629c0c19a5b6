"""Writing a selection, the one form in which every strategy ends."""

import pyarrow as pa
import pyarrow.compute as pc

from components.storage import fresh_directory, write_table
from tasks.platform.stage import StageContext, StageSummary


def save_selection(context: StageContext, table: pa.Table) -> StageSummary:
    """Write `selection.parquet`, columns of `components.schemas.SELECTION`."""
    with fresh_directory(context.output) as directory:
        write_table(directory / "selection.parquet", table)
    picked = pc.sum(table["picked"]).as_py()
    return StageSummary(table.num_rows, f"{picked:,} of {table.num_rows:,} samples picked", (("picked", picked),))
