"""Every stage by its name in dvc.yaml."""

from importlib import import_module

from tasks.platform.stage import StageTask

# Names, not the stages: `dvc repro` starts a process per stage, which need not import what the others do.
STAGES: dict[str, str] = {
    "ingest": "tasks.ingest",
    "embed": "tasks.embed",
    "reference": "tasks.reference",
    "instruct_reference": "tasks.instruct",
    "reference_tune": "tasks.reference_tune",
    "score": "tasks.score",
    "cluster": "tasks.cluster",
    "allocate": "tasks.allocate",
    "select": "tasks.select",
    "instruct_pool": "tasks.instruct",
    "warm_up": "tasks.warm_up",
    "warm_up_tune": "tasks.tune",
    "gradients": "tasks.gradients",
    "influence": "tasks.influence",
    "tive_select": "tasks.tive_select",
    "activations": "tasks.activations",
    "concepts": "tasks.concepts",
    "concept_shares": "tasks.concept_shares",
    "coincide_select": "tasks.coincide_select",
    "size_balanced_allocate": "tasks.allocate",
    "size_balanced_select": "tasks.select",
    "random_select": "tasks.controls",
    "uniform_task_select": "tasks.controls",
    "full_select": "tasks.controls",
    "instruct_selection": "tasks.instruct",
    "assemble": "tasks.assemble",
    "tune": "tasks.tune",
    "baseline_select": "tasks.baseline_select",
    "baseline_instruct": "tasks.instruct",
    "baseline_tune": "tasks.tune",
    "benchmark_base": "tasks.benchmark",
    "benchmark_tuned": "tasks.benchmark",
    "benchmark_baseline": "tasks.benchmark",
    "report": "tasks.report",
}


def load_stage(name: str) -> StageTask:
    """The stage of that name; it is called as its function is.

    Raises:
        KeyError: no such stage.
    """
    stage = getattr(import_module(STAGES[name]), name)
    assert isinstance(stage, StageTask)
    return stage
