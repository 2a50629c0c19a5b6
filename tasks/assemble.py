"""Stage assemble: what was chosen becomes one training set."""

import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.schemas import INSTRUCTIONS, SELECTION
from components.storage import fresh_directory, read_table
from components.strategies.load import load_strategy
from components.training_set.assemble import assemble_training_set, write_training_set
from tasks.platform.stage import StageContext, StageSummary, stage_task


@stage_task("assemble")
def assemble(context: StageContext) -> StageSummary:
    """Join the instructions to their images."""
    origins = load_strategy(context.parameters.strategy).instruction_origins
    files = [context.input(f"instructions/{origin}") / "instructions.parquet" for origin in origins]
    parts = tuple((origin, read_table(file, INSTRUCTIONS)) for origin, file in zip(origins, files, strict=True))
    selection = read_table(context.input("selection") / "selection.parquet", SELECTION)
    repeated = selection.filter(pc.field("copies") > 1)
    copies = dict(zip(repeated["sample_id"].to_pylist(), repeated["copies"].to_pylist(), strict=True))
    table = assemble_training_set(read_samples(context.input("manifest")), parts, copies=copies)
    with fresh_directory(context.output) as directory:
        write_training_set(directory, table)
    counted = ", ".join(f"{part.num_rows:,} {origin}" for origin, part in parts)
    return StageSummary(table.num_rows, f"{table.num_rows:,} samples ({counted})")
