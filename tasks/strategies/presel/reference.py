"""Stage reference: the samples that are annotated first."""

from pathlib import Path

import pyarrow as pa

from components.pool.manifest import read_samples
from components.schemas import CHOSEN
from components.selection.reference_set import choose_reference_set
from components.storage import fresh_directory, read_table, write_table
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import StageTable, count_table


def _nothing(directory: Path) -> None:
    write_table(directory / "reference.parquet", CHOSEN.empty_table())


def _tables(directory: Path) -> list[StageTable]:
    members = read_table(directory / "reference.parquet", CHOSEN)
    return [count_table("reference", "Reference set per task", members, "task")]


@stage(
    "the 5 % of every task that is annotated first",
    reads=("earlier/reference", "manifest/samples.parquet"),
    parameters=("reference", "seed"),
    writes="reference",
    nothing=_nothing,
    tables=_tables,
)
def reference(context: StageContext) -> StageSummary:
    """Choose the reference set."""
    samples = read_samples(context.input("manifest"))
    earlier = frozenset(
        read_table(context.input("earlier/reference") / "reference.parquet", CHOSEN)["sample_id"].to_pylist()
    )
    chosen = choose_reference_set(
        samples["sample_id"].to_pylist(),
        samples["task"].to_pylist(),
        share=context.parameters.reference.share,
        seed=context.parameters.seed,
        members=earlier,
    )
    table = samples.filter(pa.array(chosen)).select(CHOSEN.names)
    with fresh_directory(context.output) as directory:
        write_table(directory / "reference.parquet", table)
    stayed = sum(sample_id in earlier for sample_id in table["sample_id"].to_pylist())
    note = f"{table.num_rows:,} of {samples.num_rows:,} samples, {stayed:,} of them members before"
    return StageSummary(table.num_rows, note, (("members", table.num_rows), ("stayed", stayed)))
