"""Every strategy from the pool to the benchmark, side by side in one comparison."""

import json
import math
import os
import shutil
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
from tasks.platform.outdated_stages import outdated_stages
from tasks.platform.tracking import tracking_client
from tasks.platform.workspace import Workspace
from tasks.stages import stages_of

pytestmark = pytest.mark.slow(80)

# PreSel runs in every other test. One with features and tunes of its own is compared from pool to benchmark, the
# others, coincide with its features among them, in `make soak`.
OF_THEIR_OWN_KIND: tuple[str, ...] = ("tive",)
OTHERS: tuple[str, ...] = ("coincide", "size_balanced", "uniform_task", "random", "full")
BASE = Path("dvc.yaml")
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


@pytest.fixture(
    scope="module", params=[OF_THEIR_OWN_KIND, pytest.param(OTHERS, marks=pytest.mark.soak)], ids=["own kind", "others"]
)
def comparison(project: Path, request: pytest.FixtureRequest) -> ComparisonOutcome:
    """Several strategies, with one seed."""
    return compare(request.param, name="all")


def test_one_row_per_strategy(comparison: ComparisonOutcome) -> None:
    rows = {row["strategy"]: row for row in read_table(comparison.table, COMPARISON).to_pylist()}
    assert list(rows) == [row.strategy for row in comparison.rows]
    for strategy, row in rows.items():
        needed = POOL if strategy == "full" or load_strategy(strategy).reads_pool_instructions else BUDGET
        assert row["instructions"] == needed, strategy
        assert row["images"] == (POOL if strategy == "full" else BUDGET), strategy
        assert row["tuning_seconds"] > 0
        assert 0 <= row["average"] <= 1
    if "full" in rows:
        full = next(row for row in comparison.rows if row.strategy == "full")
        assert math.isnan(full.relative) or full.relative == pytest.approx(100)


def test_the_comparison_in_mlflow(comparison: ComparisonOutcome) -> None:
    strategies = {row.strategy for row in comparison.rows}
    client = tracking_client()
    run = client.get_run(comparison.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics[f"{comparison.rows[0].strategy}/instructions"] == comparison.rows[0].instructions
    children = client.search_runs(
        [run.info.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{comparison.mlflow_run_id}'"
    )
    assert {child.data.tags["presel.strategy"] for child in children} == strategies
    files = {file.path for file in client.list_artifacts(comparison.mlflow_run_id)}
    assert {"comparison.html", "comparison.parquet"} <= files
    page = comparison.page.read_text(encoding="utf-8")
    assert all(f">{strategy}<" in page for strategy in strategies)


def test_what_was_picked_is_what_was_trained_on(comparison: ComparisonOutcome) -> None:
    for place in (workspace_of(row.strategy) for row in comparison.rows):
        selection = read_table(place.artifact("selection") / "selection.parquet", SELECTION)
        training = read_table(place.artifact("training_set") / "samples.parquet", TRAINING_SAMPLES)
        picked = [row["sample_id"] for row in selection.to_pylist() if row["picked"]]
        assert sorted(picked) == training["sample_id"].to_pylist()
        assert set(training["origin"].to_pylist()) == {"selection"}
        report = (place.artifact("report") / "report.html").read_text(encoding="utf-8")
        assert "nan" not in report.split("<main>")[1].split('type="application/json"')[0].lower().split()
        assert not place.artifact("reference").exists(), "no reference set is annotated"
        assert outdated_stages(place) == ()


def test_explain_speaks_the_strategys_language(comparison: ComparisonOutcome) -> None:
    for row in comparison.rows:
        check_explanations(workspace_of(row.strategy), row.strategy)


def check_explanations(place: Workspace, strategy: str) -> None:
    rows = read_table(place.artifact("selection") / "selection.parquet", SELECTION).to_pylist()
    for wanted in {True, strategy == "full"}:
        row = next(row for row in rows if row["picked"] == wanted)
        text = explain_in_workspace(place, row["sample_id"])
        assert text.startswith("It was ")
        assert row["sample_id"] in text
        for word in WORDS[strategy]:
            assert f"\n{word}" in text, f"{word} is missing in\n{text}"
        assert "None" not in text


@pytest.mark.parametrize("strategy", ["size_balanced", "uniform_task"])
def test_the_choice_of_the_others(project: Path, strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the stages that PreSel has not, one by one, on what PreSel's run has made."""
    place = prepare_workspace(settings=[f"strategy={strategy}"], name=f"choice-{strategy}")
    shutil.copytree(project / "data", place.artifact("."), ignore=shutil.ignore_patterns("selection"))
    for stage in stages_of(strategy):
        if stage not in stages_of("presel"):
            stage.run_again(place, stage.name)
        if stage.declaration.writes == "selection":
            break
    rows = read_table(place.artifact("selection") / "selection.parquet", SELECTION).to_pylist()
    assert sum(row["picked"] for row in rows) == BUDGET
    check_explanations(place, strategy)


def test_the_plan_after_a_run(comparison: ComparisonOutcome) -> None:
    for row in comparison.rows:
        text, outdated = plan_workspace(workspace_of(row.strategy))
        assert outdated == ()
        if load_strategy(row.strategy).reads_pool_instructions:
            assert f"the instruction of every sample: {POOL} of {POOL}" in text


def test_a_comparison_again_computes_nothing(comparison: ComparisonOutcome) -> None:
    before = comparison.rows[-1]
    (again,) = compare((before.strategy,), name="all").rows
    assert again.tuning_seconds == before.tuning_seconds, "the time is that of the run that computed"
    assert again.averages == before.averages


def test_dvc_repro_has_nothing_to_do(project: Path, comparison: ComparisonOutcome) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(project),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "dvc.yaml"],
        cwd=project / workspace_of(comparison.rows[0].strategy).root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    assert "Running stage" not in done.stdout


def test_without_instructions_a_run_stops_with_the_number(project: Path) -> None:
    annotations = json.loads((project / "pool/annotations.json").read_text(encoding="utf-8"))
    (project / "pool/some.json").write_text(json.dumps(annotations[:70]), encoding="utf-8")
    settings = ["strategy=full", "instructions.annotations=[{path: pool/some.json, image_root: pool/images}]"]
    place = prepare_workspace(settings=settings, name="unannotated")
    message = "50 of 120 have none. At $0.02 each they would cost $1.00"
    assert message in plan_workspace(place)[0]
    state = curate(place.root, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)
    assert "--annotate-pool" in str(state.message)
    assert not place.artifact("instructions/pool").exists(), "nothing was bought"


@pytest.mark.soak
def test_a_pool_without_instructions_is_annotated_when_told_to(project: Path) -> None:
    annotations = json.loads((project / "pool/annotations.json").read_text(encoding="utf-8"))
    (project / "pool/part.json").write_text(json.dumps(annotations[:70]), encoding="utf-8")
    settings = ["strategy=full", "instructions.annotations=[{path: pool/part.json, image_root: pool/images}]"]
    place = prepare_workspace(settings=settings, name="annotated")
    state = curate(place.root, annotate_pool=True, register_version=False, return_state=True)
    outcome = state.result()
    assert isinstance(outcome, CurationOutcome)
    assert outcome.instructions == 70
    check_explanations(place, "full")


@pytest.mark.soak
def test_a_failed_run_does_not_take_the_others_with_it(project: Path) -> None:
    annotations = json.loads((project / "pool/annotations.json").read_text(encoding="utf-8"))
    (project / "pool/most.json").write_text(json.dumps(annotations[:80]), encoding="utf-8")
    with pytest.raises(ComparisonError, match=r"1 of 2 runs did not finish.\ntive with seed 17: .*40 of 120"):
        compare(
            ("tive", "random"),
            settings=("instructions.annotations=[{path: pool/most.json, image_root: pool/images}]",),
            name="half",
        )
    place = Workspace("runs/half-random-17")
    assert (place.artifact("report") / "report.html").exists()
    check_explanations(place, "random")
