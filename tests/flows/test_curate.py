"""The whole pipeline on a small pool, and what happens to it when something changes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from components.schemas import SELECTION, TRAINING_SAMPLES
from components.storage import read_table
from flows.curate import curate
from flows.outcome import CurationOutcome
from tasks.platform.register import RegisteredVersion
from tasks.stages import declarations_of

pytestmark = pytest.mark.slow

ALL_STAGES = {stage.instance("random") for stage in declarations_of("presel")}


def run_flow() -> tuple[set[str], set[str], CurationOutcome]:
    """Run the flow; what was computed, what was found in the cache, and the outcome."""
    state = curate(".", return_state=True)
    outcome = state.result()
    assert isinstance(outcome, CurationOutcome)
    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        task_runs = client.read_task_runs(flow_run_filter=only, limit=200)
    stages = {run.name: run.state_name for run in task_runs if run.name in ALL_STAGES}
    computed = {name for name, state_name in stages.items() if state_name == "Completed"}
    cached = {name for name, state_name in stages.items() if state_name == "Cached"}
    assert computed | cached == ALL_STAGES
    return computed, cached, outcome


def dvc(root: Path, *arguments: str) -> str:
    """Call DVC as a user would, with the small project's own code."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def set_parameter(root: Path, section: str, key: str, value: object) -> None:
    path = root / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values[section][key] = value
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def registered(outcome: CurationOutcome) -> RegisteredVersion:
    assert outcome.model is not None
    return outcome.model


@pytest.fixture(scope="module")
def first_run(project: Path) -> CurationOutcome:
    """The first run of the module: everything is computed."""
    computed, _, outcome = run_flow()
    assert computed == ALL_STAGES
    return outcome


def test_first_run_makes_what_it_says(project: Path, first_run: CurationOutcome) -> None:
    assert (first_run.pool, first_run.reference, first_run.picked) == (120, 12, 24)
    assert first_run.instructions == 36
    training = read_table(project / "data/training_set/samples.parquet", TRAINING_SAMPLES)
    assert training.num_rows == 36
    selection = read_table(project / "data/selection/selection.parquet", SELECTION)
    chosen = selection.filter(pc.or_(selection["picked"], selection["is_reference"]))
    assert sorted(chosen["sample_id"].to_pylist()) == training["sample_id"].to_pylist()
    assert {score.name for score in first_run.scores} == {"base", "tuned", "random"}
    assert (project / first_run.report).stat().st_size > 10_000
    assert (project / "data/model/adapter/adapter_model.safetensors").is_file()


def test_dvc_agrees_that_everything_is_up_to_date(project: Path, first_run: CurationOutcome) -> None:
    assert "up to date" in dvc(project, "status")
    assert "Running stage" not in dvc(project, "repro")


def test_second_run_finds_everything(project: Path, first_run: CurationOutcome) -> None:
    computed, cached, outcome = run_flow()
    assert (computed, cached) == (set(), ALL_STAGES)
    assert registered(outcome).version == registered(first_run).version
    assert not registered(outcome).created


def test_deleted_artifact_is_restored_not_computed(project: Path, first_run: CurationOutcome) -> None:
    before = (project / "data/clusters/clusters.parquet").read_bytes()
    shutil.rmtree(project / "data/clusters")
    shutil.rmtree(project / "data/model")
    computed, _, _ = run_flow()
    assert computed == set()
    assert (project / "data/clusters/clusters.parquet").read_bytes() == before
    assert (project / "data/model/adapter/adapter_model.safetensors").is_file()


def test_artifact_lost_everywhere_comes_from_the_remote(project: Path, first_run: CurationOutcome) -> None:
    shutil.rmtree(project / "data/scores")
    shutil.rmtree(project / ".dvc/cache")
    computed, _, _ = run_flow()
    assert computed == set()
    assert (project / "data/scores/importance.parquet").is_file()


def test_changed_parameter_runs_exactly_what_depends_on_it(project: Path, first_run: CurationOutcome) -> None:
    set_parameter(project, "final_tune", "epochs", 2)
    computed, _, outcome = run_flow()
    tuned_and_after = {"tune", "benchmark_tuned", "baseline_tune@random", "benchmark_baseline@random", "report"}
    assert computed == tuned_and_after
    assert registered(outcome).created
    set_parameter(project, "final_tune", "epochs", 1)
    computed, _, outcome = run_flow()
    assert computed == set(), "the first results are still in the cache"
    assert registered(outcome).version == registered(first_run).version
    assert "up to date" in dvc(project, "status")


def test_changed_component_runs_the_stages_that_declare_it(project: Path, first_run: CurationOutcome) -> None:
    source = project / "components/selection/task_importance.py"
    original = source.read_text(encoding="utf-8")
    source.write_text(original + "\n# a changed line\n", encoding="utf-8")
    computed, _, _ = run_flow()
    declaring = {"score"}
    assert computed == declaring, "its output came out equal, so nothing after it runs"
    source.write_text(original, encoding="utf-8")
    computed, _, _ = run_flow()
    assert computed == set()


def test_what_dvc_repro_computes_the_flow_finds(project: Path, first_run: CurationOutcome) -> None:
    set_parameter(project, "report", "grid_images", 5)
    assert dvc(project, "repro").count("Running stage") == 1
    computed, _, _ = run_flow()
    assert computed == set()
    assert "up to date" in dvc(project, "status")


def test_the_registered_model_loads_in_two_lines(project: Path, first_run: CurationOutcome) -> None:
    import mlflow
    import pandas as pd
    import peft
    import transformers

    model = mlflow.pyfunc.load_model(f"models:/{registered(first_run).name}@challenger")
    answers = model.predict(pd.DataFrame({"image": ["pool/images/color/0.png"], "question": ["What color is it?"]}))
    assert len(answers) == 1
    assert isinstance(answers[0], str)

    base = transformers.AutoModelForImageTextToText.from_pretrained(
        yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["vlm"]["model"]
    )
    tuned = peft.PeftModel.from_pretrained(base, project / "data/model/adapter")
    assert tuned.peft_config["default"].r == 32


def test_mlflow_tells_the_story(project: Path, first_run: CurationOutcome) -> None:
    from tasks.platform.tracking import tracking_client

    client = tracking_client()
    run = client.get_run(first_run.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["select.neighbours"] == "5"
    assert run.data.tags["presel.model_version"] == f"{registered(first_run).name}/{registered(first_run).version}"
    assert {given.dataset.name for given in run.inputs.dataset_inputs} == {"data/manifest", "data/training_set"}
    files = {file.path for file in client.list_artifacts(first_run.mlflow_run_id)}
    assert {"report.html", "dvc.lock", "params.yaml"} <= files
    nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{first_run.mlflow_run_id}'")
    metrics = {child.info.run_name: child.data.metrics for child in nested}
    assert {"ingest", "score", "tune", "benchmark_tuned"} <= set(metrics)
    tune = next(child for child in nested if child.info.run_name == "tune")
    assert len(client.get_metric_history(tune.info.run_id, "loss")) > 1, "metrics arrive while it runs"
    assert metrics["ingest"]["samples"] == 120


def test_the_report_is_linked_from_the_prefect_run(project: Path, first_run: CurationOutcome) -> None:
    from prefect.artifacts import Artifact

    found = Artifact.get("report")
    assert "report.html" in str(getattr(found, "data", ""))


def test_every_drop_and_record_is_counted(project: Path, first_run: CurationOutcome) -> None:
    from components.schemas import DROPPED

    for name in ("vectors", "instructions/reference", "instructions/selection", "reference_model", "scores", "model"):
        read_table(project / "data" / name / "dropped.parquet", DROPPED)
        assert (project / "data" / name / "artifact.json").is_file()
