"""Small tables that several tasks write and read."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from components.pool.samples import Dropped
from components.schemas import DROPPED
from components.storage import write_table


def write_dropped(directory: Path, dropped: Sequence[Dropped]) -> None:
    """Write `dropped.parquet`: what a stage left out, and why."""
    rows = sorted(dropped, key=lambda item: item.sample_id)
    columns = [
        [item.sample_id for item in rows],
        [item.reason for item in rows],
        [item.detail for item in rows],
    ]
    write_table(directory / "dropped.parquet", pa.table(columns, schema=DROPPED))
