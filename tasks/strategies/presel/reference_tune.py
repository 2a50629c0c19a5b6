"""Stage reference_tune: LoRA on the reference set, unless the earlier model still stands for it."""

from pathlib import Path

from components.schemas import TUNED_ON
from components.storage import copy_tree, fresh_directory
from components.strategies.presel.reference_model import (
    RetuneDecision,
    TunedModel,
    decide_retune,
    read_tuned_model,
    tuned_model,
    write_tuned_model,
)
from tasks.bodies.tuning import (
    TUNING_MEMORY,
    TUNING_PARAMETERS,
    adapter_disk,
    instructed_samples,
    tune_samples,
)
from tasks.platform.stage import stage
from tasks.platform.stage_context import StageContext, StageSummary
from tasks.platform.stage_tables import training_tables


def _nothing(directory: Path) -> None:
    decision = RetuneDecision(retune=False, reason="there was no curation", members=0, changed=0)
    write_tuned_model(directory, TunedModel(TUNED_ON.empty_table(), ""), decision)


@stage(
    "LoRA tune of the model on the reference set",
    reads=("earlier/reference_model", "inputs/vlm.json", "instructions/reference", "manifest/samples.parquet"),
    parameters=(*TUNING_PARAMETERS, "reference_tune", "recurate.retune_share"),
    writes="reference_model",
    uses="gpu",
    memory=TUNING_MEMORY,
    disk=adapter_disk,
    nothing=_nothing,
    tables=training_tables,
)
def reference_tune(context: StageContext) -> StageSummary:
    """The reference model, tuned or taken over."""
    parameters, samples = context.parameters, instructed_samples(context, "reference")
    earlier = context.input("earlier/reference_model")
    now = tuned_model(
        samples,
        base=(context.input("inputs") / "vlm.json").read_text(encoding="utf-8"),
        vlm=parameters.vlm,
        tuning=parameters.tuning,
        duration=parameters.reference_tune,
        seed=parameters.seed,
    )
    decision = decide_retune(read_tuned_model(earlier), now, share=parameters.recurate.retune_share)
    if decision.retune:
        return tune_samples(
            context, samples, parameters.reference_tune, beside=lambda to: write_tuned_model(to, now, decision)
        )
    with fresh_directory(context.output) as directory:
        copy_tree(earlier, directory)
        write_tuned_model(directory, read_tuned_model(earlier), decision)
    metrics = (("retuned", 0.0), ("members_changed", float(decision.changed)))
    return StageSummary(len(samples), f"the earlier reference model is kept: {decision.reason}", metrics)
