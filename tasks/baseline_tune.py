"""Stage baseline_tune: a control, tuned as the final model is."""

from tasks.bodies.tuning import TUNING_MEMORY, TUNING_PARAMETERS, instructed_samples, tune_samples
from tasks.platform.stage import StageContext, StageSummary, stage
from tasks.platform.stage_tables import training_tables


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
