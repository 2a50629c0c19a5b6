"""Stage reference: the samples that are annotated first."""

import pyarrow as pa

from components.ingest.manifest import read_samples
from components.schemas import CHOSEN
from components.selection.reference_set import choose_reference_set
from components.storage import fresh_directory, write_table
from tasks.stage import StageContext, StageSummary, stage_task


@stage_task("reference")
def reference(context: StageContext) -> StageSummary:
    """Choose the reference set."""
    samples = read_samples(context.input("manifest"))
    chosen = choose_reference_set(
        samples["sample_id"].to_pylist(),
        samples["task"].to_pylist(),
        share=context.parameters.reference.share,
        seed=context.parameters.seed,
    )
    table = samples.filter(pa.array(chosen)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "reference.parquet", table)
    return StageSummary(table.num_rows, f"{table.num_rows:,} of {samples.num_rows:,} samples")
