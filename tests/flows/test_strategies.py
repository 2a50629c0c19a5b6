"""Every strategy from the pool to the benchmark, side by side in one comparison."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.schemas import COMPARISON, SELECTION, TRAINING_SAMPLES
from components.storage import read_table
from components.strategies.load import load_strategy
from flows.compare import ComparisonError, compare
from flows.comparison import ComparisonOutcome
from flows.curate import curate
from flows.explain import explain_in_workspace
from flows.outcome import CurationOutcome
from flows.plan import plan_workspace
from flows.prepare_workspace import prepare_workspace
from tasks.platform.tracking import tracking_client
from tasks.platform.versioning import outdated_stages
from tasks.platform.workspace import Workspace

pytestmark = pytest.mark.slow

COMPARED: list[str] = ["tive", "coincide", "size_balanced", "uniform_task", "random", "full"]
POOL, BUDGET = 120, 36  # tests/flows/small_project.py: two tasks of 60, 30 %
WORDS = {
    "tive": ("difficulty", "influence", "probability", "gradient"),
    "coincide": ("cluster", "share", "centroid", "typicality", "picks"),
    "size_balanced": ("cluster", "centrality", "nearest pick"),
    "uniform_task": ("chance",),
    "random": ("chance",),
    "full": ("chance",),
}


def workspace_of(strategy: str) -> Workspace:
    return Workspace(f"runs/all-{strategy}-17")


@pytest.fixture(scope="module")
def comparison(project: Path) -> ComparisonOutcome:
    """All strategies but PreSel, which the other tests run, with one seed."""
    return compare(tuple(COMPARED), name="all")


def test_one_row_per_strategy(comparison: ComparisonOutcome) -> None:
    assert [row.strategy for row in comparison.rows] == COMPARED
    rows = {row["strategy"]: row for row in read_table(comparison.table, COMPARISON).to_pylist()}
    for strategy in COMPARED:
        needed = POOL if strategy == "full" or load_strategy(strategy).reads_pool_instructions else BUDGET
        assert rows[strategy]["instructions"] == needed, strategy
        assert rows[strategy]["images"] == (POOL if strategy == "full" else BUDGET), strategy
        assert rows[strategy]["tuning_seconds"] > 0
        assert 0 <= rows[strategy]["average"] <= 1
    assert rows["tive"]["selection_seconds"] > rows["random"]["selection_seconds"]
    full = next(row for row in comparison.rows if row.strategy == "full")
    assert math.isnan(full.relative) or full.relative == pytest.approx(100)


def test_the_comparison_in_mlflow(comparison: ComparisonOutcome) -> None:
    client = tracking_client()
    run = client.get_run(comparison.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["tive/instructions"] == POOL
    children = client.search_runs(
        [run.info.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{comparison.mlflow_run_id}'"
    )
    assert {child.data.tags["presel.strategy"] for child in children} == set(COMPARED)
    files = {file.path for file in client.list_artifacts(comparison.mlflow_run_id)}
    assert {"comparison.html", "comparison.parquet"} <= files
    page = comparison.page.read_text(encoding="utf-8")
    assert all(f">{strategy}<" in page for strategy in COMPARED)


@pytest.mark.parametrize("strategy", COMPARED)
def test_what_was_picked_is_what_was_trained_on(strategy: str, comparison: ComparisonOutcome) -> None:
    place = workspace_of(strategy)
    selection = read_table(place.artifact("selection") / "selection.parquet", SELECTION)
    training = read_table(place.artifact("training_set") / "samples.parquet", TRAINING_SAMPLES)
    picked = [row["sample_id"] for row in selection.to_pylist() if row["picked"]]
    assert sorted(picked) == training["sample_id"].to_pylist()
    assert set(training["origin"].to_pylist()) == {"selection"}
    report = (place.artifact("report") / "report.html").read_text(encoding="utf-8")
    assert "nan" not in report.split("<main>")[1].split('type="application/json"')[0].lower().split()
    assert not place.artifact("reference").exists(), "no reference set is annotated"


@pytest.mark.parametrize("strategy", COMPARED)
def test_a_finished_run_is_up_to_date(strategy: str, comparison: ComparisonOutcome) -> None:
    assert outdated_stages(workspace_of(strategy)) == ()


@pytest.mark.parametrize("strategy", COMPARED)
def test_explain_speaks_the_strategys_language(strategy: str, comparison: ComparisonOutcome) -> None:
    place = workspace_of(strategy)
    rows = read_table(place.artifact("selection") / "selection.parquet", SELECTION).to_pylist()
    for wanted in {True, strategy == "full"}:
        row = next(row for row in rows if row["picked"] == wanted)
        text = explain_in_workspace(place, row["sample_id"])
        assert text.startswith("It was ")
        assert row["sample_id"] in text
        for word in WORDS[strategy]:
            assert f"\n{word}" in text, f"{word} is missing in\n{text}"
        assert "None" not in text


@pytest.mark.parametrize("strategy", ["tive", "coincide"])
def test_the_plan_after_a_run(strategy: str, comparison: ComparisonOutcome) -> None:
    text, outdated = plan_workspace(workspace_of(strategy))
    assert f"the instruction of every sample: {POOL} of {POOL}" in text
    assert outdated == ()


def test_a_comparison_again_computes_nothing(comparison: ComparisonOutcome) -> None:
    again = compare(("coincide", "full"), name="all")
    before = {row.strategy: row for row in comparison.rows}
    for row in again.rows:
        assert row.tuning_seconds == before[row.strategy].tuning_seconds, "the time is that of the run that computed"
        assert row.averages == before[row.strategy].averages


def test_dvc_repro_has_nothing_to_do(project: Path, comparison: ComparisonOutcome) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(project),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for command in ("status", "repro"):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", command, "dvc.yaml"],
            cwd=project / workspace_of("tive").root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "up to date" in done.stdout
        assert "Running stage" not in done.stdout


def test_without_instructions_a_run_stops_with_the_number(project: Path, comparison: ComparisonOutcome) -> None:
    annotations = json.loads((project / "pool/annotations.json").read_text(encoding="utf-8"))
    (project / "pool/some.json").write_text(json.dumps(annotations[:70]), encoding="utf-8")
    settings = [
        "strategy=tive",
        "baselines=[]",
        "instructions.annotations=[{path: pool/some.json, image_root: pool/images}]",
    ]
    place = prepare_workspace(settings=settings, name="unannotated")
    message = "50 of 120 have none. At $0.02 each they would cost $1.00"
    assert message in plan_workspace(place)[0]
    state = curate(place.root, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)
    assert "--annotate-pool" in str(state.message)
    assert not place.artifact("instructions/pool").exists(), "nothing was bought"

    state = curate(place.root, annotate_pool=True, register_version=False, return_state=True)
    outcome = state.result()
    assert isinstance(outcome, CurationOutcome)
    assert (outcome.instructions, outcome.picked) == (70, BUDGET)


def test_a_failed_run_does_not_take_the_others_with_it(project: Path, comparison: ComparisonOutcome) -> None:
    annotations = json.loads((project / "pool/annotations.json").read_text(encoding="utf-8"))
    (project / "pool/most.json").write_text(json.dumps(annotations[:80]), encoding="utf-8")
    with pytest.raises(ComparisonError, match=r"1 of 2 runs did not finish.\ntive with seed 17: .*40 of 120"):
        compare(
            ("tive", "random"),
            settings=("instructions.annotations=[{path: pool/most.json, image_root: pool/images}]",),
            name="half",
        )
    assert (Workspace("runs/half-random-17").artifact("report") / "report.html").exists()
