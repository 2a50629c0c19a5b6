"""What the stages that compute one vector per sample of an annotated pool have in common."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from components.pool.manifest import read_samples
from components.pool.samples import Dropped, InstructedImage
from components.schemas import INSTRUCTIONS
from components.storage import copy_tree, fresh_directory, read_table
from components.training_set.assemble import assemble_training_set
from components.training_set.formats import training_samples
from tasks.bodies.tables import write_dropped
from tasks.platform.stage_context import StageContext, StageSummary


class FeatureCounts(Protocol):
    """What an extraction reports."""

    @property
    def computed(self) -> int:
        """Samples that got a vector."""

    @property
    def reused(self) -> int:
        """Samples that had one."""

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """Samples without one."""


def pool_samples(context: StageContext) -> tuple[InstructedImage, ...]:
    """The samples of the pool that have an instruction."""
    instructions = read_table(context.input("instructions/pool") / "instructions.parquet", INSTRUCTIONS)
    return training_samples(assemble_training_set(read_samples(context.input("manifest")), (("pool", instructions),)))


def save_features(context: StageContext, extract: Callable[[Path], FeatureCounts]) -> StageSummary:
    """Extract into the scratch folder, where a killed run left what it had, and make an artifact of it."""
    context.scratch.mkdir(parents=True, exist_ok=True)
    result = extract(context.scratch)
    with fresh_directory(context.output) as directory:
        copy_tree(context.scratch, directory)
        write_dropped(directory, result.dropped)
    shutil.rmtree(context.scratch)
    rows, left_out = result.computed + result.reused, len(result.dropped)
    resumed = f", {result.reused:,} of them by an earlier run that was stopped" if result.reused else ""
    note = f"{rows:,} samples{resumed}, {left_out:,} left out"
    return StageSummary(rows, note, (("samples", rows), ("dropped", left_out)))
