"""Every stage by its name in dvc.yaml."""

from tasks.allocate import allocate
from tasks.assemble import assemble
from tasks.baseline_select import baseline_select
from tasks.benchmark import benchmark_base, benchmark_baseline, benchmark_tuned
from tasks.cluster import cluster
from tasks.embed import embed
from tasks.ingest import ingest
from tasks.instruct import baseline_instruct, instruct_reference, instruct_selection
from tasks.reference import reference
from tasks.report import report
from tasks.score import score
from tasks.select import select
from tasks.stage import StageTask
from tasks.tune import baseline_tune, reference_tune, tune

STAGES: dict[str, StageTask] = {
    stage.name: stage
    for stage in (
        ingest,
        embed,
        reference,
        instruct_reference,
        reference_tune,
        score,
        cluster,
        allocate,
        select,
        instruct_selection,
        assemble,
        tune,
        baseline_select,
        baseline_instruct,
        baseline_tune,
        benchmark_base,
        benchmark_tuned,
        benchmark_baseline,
        report,
    )
}
