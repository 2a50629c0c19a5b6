"""The `curate` flow: the paper's steps, in order."""

from prefect import flow, get_run_logger

from flows.outcome import CurationOutcome, describe_outcome
from tasks.allocate import allocate
from tasks.assemble import assemble
from tasks.baseline_select import baseline_select
from tasks.benchmark import benchmark_base, benchmark_baseline, benchmark_tuned
from tasks.cluster import cluster
from tasks.curation_run import log_dataset, open_curation_run
from tasks.embed import embed
from tasks.ingest import ingest
from tasks.instruct import baseline_instruct, instruct_reference, instruct_selection
from tasks.publish import publish_report, publish_versions
from tasks.reference import reference
from tasks.register import register_model
from tasks.report import report
from tasks.score import score
from tasks.select import select
from tasks.snapshot import snapshot_inputs
from tasks.stage import CurationRun
from tasks.tune import baseline_tune, reference_tune, tune
from tasks.versioning import Artifact
from tasks.workspace import Workspace


@flow(name="curate", flow_run_name="curate {workspace}", persist_result=False)
def curate(workspace: str = ".", refresh: bool = False) -> CurationOutcome:
    """Decide which images deserve an instruction, buy those, tune the model on them and measure it.

    Args:
        workspace: folder of dvc.yaml and params.yaml, relative to the project root.
        refresh: run every stage even when nothing it depends on changed.

    Returns:
        Where to look, and the numbers that matter.
    """
    place = Workspace(workspace)
    with place.exclusive(), open_curation_run(place, refresh=refresh) as run:
        snapshot_inputs(place)
        manifest = ingest(run)
        log_dataset(run, manifest, context="pool")
        vectors = embed(run, manifest)

        reference_set = reference(run, manifest)
        reference_instructions = instruct_reference(run, manifest, reference_set)
        reference_model = reference_tune(run, reference_instructions)
        importance = score(run, reference_model, reference_instructions)

        clusters = cluster(run, manifest, vectors)
        quotas = allocate(run, importance, clusters, reference_set)
        selection = select(run, quotas, clusters, vectors)
        instructions = instruct_selection(run, selection)

        training_set = assemble(run, reference_instructions, instructions)
        log_dataset(run, training_set, context="training")
        model = tune(run, training_set)

        benchmarks = (
            benchmark_base(run, manifest),
            benchmark_tuned(run, manifest, model),
            *_baselines(run, manifest, training_set),
        )
        page = report(run, training_set, quotas, selection, model, *benchmarks)
        version = register_model(run, model, benchmarks[1])
        publish_report(run, page)
        publish_versions(run)
    return describe_outcome(run, version)


def _baselines(run: CurationRun, manifest: Artifact, training_set: Artifact) -> list[Artifact]:
    """Tune and benchmark the controls."""
    benchmarks = []
    for name in run.workspace.parameters().baselines:
        get_run_logger().info("control: %s", name)
        chosen = baseline_select(run, manifest, training_set, item=name)
        instructions = baseline_instruct(run, chosen, item=name)
        model = baseline_tune(run, instructions, item=name)
        benchmarks.append(benchmark_baseline(run, manifest, model, item=name))
    return benchmarks
