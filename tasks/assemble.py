"""Stage assemble: what was chosen becomes one training set."""

from pathlib import Path

import pyarrow.compute as pc

from components.pool.manifest import read_samples
from components.schemas import INSTRUCTIONS, SELECTION, TRAINING_SAMPLES
from components.storage import fresh_directory, read_table
from components.strategies.strategy import Strategy
from components.training_set.assemble import assemble_training_set, write_training_set
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable, count_table


def _reads(strategy: Strategy) -> tuple[str, ...]:
    origins = (f"instructions/{origin}" for origin in strategy.instruction_origins)
    return (*origins, "manifest/samples.parquet", "selection")


def _tables(directory: Path) -> list[StageTable]:
    samples = read_table(directory / "samples.parquet", TRAINING_SAMPLES)
    return [count_table("training-set", "Training set", samples, "origin")]


@stage(
    "the training set, all that was chosen with its instructions", reads=_reads, writes="training_set", tables=_tables
)
def assemble(context: StageContext) -> StageSummary:
    """Join the instructions to their images."""
    # What it reads says whose instructions; so does the cache key.
    origins = [path.removeprefix("instructions/") for path in context.reads if path.startswith("instructions/")]
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
