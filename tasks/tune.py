"""The stages that tune on what was chosen: tune, the final model, and baseline_tune, a control."""

from components.training_set.assemble import read_training_samples
from tasks.bodies.tuning import (
    TUNING_MEMORY,
    TUNING_PARAMETERS,
    adapter_disk,
    final_checkpoints,
    instructed_samples,
    tune_samples,
)
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import training_tables


@stage(
    "LoRA tune of the model on the training set",
    reads=("inputs/vlm.json", "training_set"),
    parameters=(*TUNING_PARAMETERS, "final_tune"),
    writes="model",
    uses="gpu",
    memory=TUNING_MEMORY,
    disk=adapter_disk,
    disk_while_it_runs=final_checkpoints,
    tables=training_tables,
)
def tune(context: StageContext) -> StageSummary:
    """Tune on the training set."""
    return tune_samples(context, read_training_samples(context.input("training_set")), context.parameters.final_tune)


@stage(
    "LoRA tune of the model on a control",
    reads=("inputs/vlm.json", "instructions/${item}", "manifest/samples.parquet"),
    parameters=(*TUNING_PARAMETERS, "final_tune"),
    writes="baseline_model/${item}",
    each_baseline=True,
    uses="gpu",
    memory=TUNING_MEMORY,
    tables=training_tables,
)
def baseline_tune(context: StageContext) -> StageSummary:
    """Tune on the control's samples."""
    return tune_samples(context, instructed_samples(context, context.item), context.parameters.final_tune)
