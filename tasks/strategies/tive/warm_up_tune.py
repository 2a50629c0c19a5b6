"""Stage warm_up_tune: TIVE's reference model."""

from components.schemas import CHOSEN
from components.storage import read_table
from tasks.bodies.tuning import TUNING_MEMORY, TUNING_PARAMETERS, adapter_disk, instructed_samples, tune_samples
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import training_tables


@stage(
    "LoRA tune of the model on the warm-up set",
    reads=("inputs/vlm.json", "instructions/pool", "manifest/samples.parquet", "warm_up"),
    parameters=(*TUNING_PARAMETERS, "reference_tune"),
    writes="warm_up_model",
    uses="gpu",
    memory=TUNING_MEMORY,
    disk=adapter_disk,
    tables=training_tables,
)
def warm_up_tune(context: StageContext) -> StageSummary:
    """Tune on the warm-up set."""
    warm_up = read_table(context.input("warm_up") / "warm_up.parquet", CHOSEN)
    chosen = frozenset(warm_up["sample_id"].to_pylist())
    samples = tuple(sample for sample in instructed_samples(context, "pool") if sample.sample_id in chosen)
    return tune_samples(context, samples, context.parameters.reference_tune)
