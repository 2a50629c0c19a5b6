"""What every curation does with a pool that has been ingested: the paper's steps, in order."""

from importlib import import_module

from prefect import get_run_logger

from flows.outcome import CurationOutcome, describe_outcome
from flows.purchase import buy
from flows.strategies.chosen import Chosen
from tasks.assemble import assemble
from tasks.baseline_select import baseline_select
from tasks.benchmark import benchmark_base, benchmark_baseline, benchmark_tuned
from tasks.instruct import baseline_instruct, instruct_selection
from tasks.platform.curation_run import log_dataset
from tasks.platform.disk_space import check_disk_space
from tasks.platform.finished import record_finished
from tasks.platform.promotion import judge_registered
from tasks.platform.publish import publish_report, publish_versions, register_model
from tasks.platform.snapshot import check_annotated
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact
from tasks.report import report
from tasks.tune import baseline_tune, tune


def curate_pool(run: CurationRun, manifest: Artifact, *, register_version: bool = True) -> CurationOutcome:
    """Decide which images deserve an instruction, buy those, tune the model on them and measure it.

    Args:
        run: the curation run.
        manifest: the pool.
        register_version: make the tuned model a version of the registered model.

    Returns:
        Where to look, and the numbers that matter.
    """
    check_annotated(run)
    check_disk_space(run.workspace)
    log_dataset(run, manifest, context="pool")
    chosen = _choose(run, manifest)
    instructions = buy(run, instruct_selection, chosen.selection)

    training_set = assemble(run, instructions, chosen.selection, *chosen.annotated)
    log_dataset(run, training_set, context="training")
    model = tune(run, training_set)

    benchmarks = (
        benchmark_base(run, manifest),
        benchmark_tuned(run, manifest, model),
        *_baselines(run, manifest, training_set),
    )
    page = report(run, training_set, *chosen.evidence, chosen.selection, model, *benchmarks)
    version = register_model(run, model, benchmarks[1]) if register_version else None
    if version is not None:
        judge_registered(run, version, benchmarks[1])
    publish_report(run, page)
    publish_versions(run)
    record_finished(run)
    return describe_outcome(run, version, selection_seconds=chosen.seconds, tuning_seconds=model.seconds)


def _choose(run: CurationRun, manifest: Artifact) -> Chosen:
    """Decide which images deserve an instruction, by the steps of `flows.strategies.NAME`."""
    steps = import_module(f"flows.strategies.{run.workspace.parameters().strategy}")
    chosen = steps.choose(run, manifest)
    assert isinstance(chosen, Chosen)
    return chosen


def _baselines(run: CurationRun, manifest: Artifact, training_set: Artifact) -> list[Artifact]:
    """Tune and benchmark the controls."""
    benchmarks = []
    for name in run.workspace.parameters().baselines:
        get_run_logger().info("control: %s", name)
        chosen = baseline_select(run, manifest, training_set, item=name)
        instructions = buy(run, baseline_instruct, chosen, item=name)
        model = baseline_tune(run, instructions, item=name)
        benchmarks.append(benchmark_baseline(run, manifest, model, item=name))
    return benchmarks
