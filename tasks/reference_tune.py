"""Stage reference_tune: LoRA on the reference set, unless the earlier model still stands for it."""

from components.recuration.reference_model import decide_retune, read_tuned_model, tuned_model, write_tuned_model
from components.storage import copy_tree, fresh_directory
from tasks.platform.stage import StageContext, StageSummary, stage_task
from tasks.tune import instructed_samples, tune_samples


@stage_task("reference_tune", uses="gpu")
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
