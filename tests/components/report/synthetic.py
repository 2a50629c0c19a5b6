"""A whole curation run, made up but consistent: every table agrees with the others."""

import math

import numpy as np

from components import schemas
from components.report.inputs import (
    Costs,
    DropCount,
    InstructionTable,
    Lineage,
    MapCoordinates,
    ReportInputs,
    TrainingRun,
    Version,
)
from components.report.strategy_report import NoEvidence, load_strategy_report
from components.strategies.presel.report import PreselEvidence
from tests.components.report.synthetic_models import benchmark_runs, training_log
from tests.components.report.synthetic_pool import Pool, make_pool
from tests.components.report.synthetic_tables import (
    PRICE,
    allocation_table,
    answered_at_once,
    chosen_table,
    instructions_table,
    quarantine_table,
    samples_table,
    scores_table,
    selection_table,
)

TASKS = {
    "caption": (930, 0.93),
    "color": (640, 0.55),
    "shape": (480, 0.62),
    "count": (370, 0.41),
    "relation": (290, 0.47),
    "reading": (190, 0.33),
    "chart": (120, 0.38),
}
UPDATES = {"own": 80, "tuned": 230, "random": 230, "full": 1400}
DROPS = (
    DropCount("instruct(reference)", "no instruction known for the image", 2),
    DropCount("score", "response empty", 1),
    DropCount("assemble", "response empty", 3),
)
TUNES = {"own": "reference model", "tuned": "tuned model"}


def make_inputs(
    tasks: dict[str, tuple[int, float]] | None = None,
    *,
    images_per_cluster: int = 60,
    budget: float = 0.15,
    baselines: tuple[str, ...] = ("random",),
    sets: tuple[str, ...] = ("color", "shape", "count", "relation", "reading", "chart"),
    seed: int = 5,
) -> ReportInputs:
    """The run; `tasks` says how many images each task has and its mean IRS."""
    tasks = TASKS if tasks is None else tasks
    rng = np.random.default_rng(seed)
    pool = make_pool({name: size for name, (size, _) in tasks.items()}, images_per_cluster, rng)
    is_reference = _reference_rows(pool, rng)
    scores, importance, weights = scores_table(pool, tasks, is_reference, rng)
    wanted = round(budget * len(pool.sample_ids)) - int(is_reference.sum())
    allocation = allocation_table(pool, weights, is_reference, wanted)
    selection = selection_table(pool, allocation, is_reference, rng)
    chosen = np.array(selection["picked"].to_pylist()) & ~is_reference
    everything = len(pool.sample_ids)
    bought = int(is_reference.sum() + chosen.sum())
    parts = [("reference", is_reference), ("selection", chosen)]
    parts += [(name, _control_rows(everything, bought, name, rng)) for name in baselines]
    return ReportInputs(
        samples=samples_table(pool),
        quarantine=quarantine_table(),
        reference=chosen_table(pool, is_reference),
        selection=selection,
        instructions=tuple(_instructions(name, pool, rows) for name, rows in parts),
        training_runs=tuple(
            TrainingRun(key, TUNES.get(key, key), training_log(UPDATES[key], rng))
            for key in ("own", "tuned", *baselines)
        ),
        benchmarks=benchmark_runs(("base", "tuned", *baselines), sets, rng),
        costs=_costs(bought, everything),
        lineage=_lineage(),
        strategy=load_strategy_report("presel"),
        evidence=PreselEvidence(scores, importance, allocation, None),
        drops=DROPS,
        map_coordinates=MapCoordinates(tuple(pool.sample_ids), pool.points),
        budget=f"{budget:.0%}",
    )


def empty_inputs() -> ReportInputs:
    """A run that stopped after an ingest that found nothing."""
    return ReportInputs(
        samples=schemas.SAMPLES.empty_table(),
        quarantine=schemas.QUARANTINE.empty_table(),
        reference=schemas.CHOSEN.empty_table(),
        selection=schemas.SELECTION.empty_table(),
        instructions=(),
        training_runs=(),
        benchmarks=(),
        costs=Costs(0, 0.0, 0, 0.0, 0.0, 0, 0.0),
        lineage=Lineage(created_at="2025-01-01 00:00 UTC"),
        strategy=load_strategy_report("presel"),
        evidence=NoEvidence({}),
    )


def _reference_rows(pool: Pool, rng: np.random.Generator) -> np.ndarray:
    is_reference = np.zeros(len(pool.sample_ids), bool)
    for task in dict.fromkeys(pool.tasks):
        rows = np.array([index for index, name in enumerate(pool.tasks) if name == task])
        is_reference[rng.choice(rows, math.ceil(0.05 * len(rows)), replace=False)] = True
    return is_reference


def _control_rows(everything: int, bought: int, name: str, rng: np.random.Generator) -> np.ndarray:
    size = everything if name == "full" else bought
    return np.isin(np.arange(everything), rng.choice(everything, size, replace=False))


def _instructions(name: str, pool: Pool, rows: np.ndarray) -> InstructionTable:
    table = instructions_table(pool, rows)
    return InstructionTable(name, table, answered_at_once(table))


def _costs(bought: int, everything: int) -> Costs:
    return Costs(
        instructions=bought,
        spent_usd=bought * PRICE,
        all_instructions=everything,
        all_usd=everything * PRICE,
        price_per_instruction_usd=PRICE,
        instructions_to_date=bought + 371,
        to_date_usd=(bought + 371) * PRICE,
    )


def _lineage() -> Lineage:
    return Lineage(
        created_at="2025-11-20 23:40 UTC",
        git_commit="bbfead1c0ffee0d15ea5e0ddba11ca5cade0fade",
        git_dirty=True,
        dvc_lock_digest="9f86d081884c7d659a2feaa0c55ad015",
        flow_run_id="6d1f3c1e-7d8a-4a5b-9c1e-2f3b4c5d6e7f",
        flow_run_name="amber-falcon",
        flow_run_url="http://127.0.0.1:4200/runs/flow-run/6d1f3c1e",
        mlflow_run_url="http://127.0.0.1:5000/#/experiments/1/runs/0123",
        versions=(Version("python", "3.11.9"), Version("torch", "2.13.0"), Version("encoder", "tiny-dinov2@1a2b3c")),
        parameters="seed: 17\nbudget: 15%\nreference:\n  share: 0.05\n",
    )
