"""The whole pipeline on a small pool, and what happens to it when something changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from components.schemas import SELECTION, TRAINING_SAMPLES
from components.storage import read_table
from flows.command_line.show import show_outcome
from flows.curate import curate
from flows.outcome import CurationOutcome
from tasks.platform.publish import RegisteredVersion
from tasks.stages import declarations_of
from tests.flows.finished_project import FirstRun, StagesOfRun, change_parameters, stages_of_run

pytestmark = pytest.mark.slow(100)

DECLARED = declarations_of("presel")
OF_THE_CONTROL = frozenset(stage.instance("random") for stage in DECLARED if stage.each_baseline)
ALL_STAGES = frozenset(stage.instance("random") for stage in DECLARED)


def run_flow() -> tuple[frozenset[str], CurationOutcome]:
    """Run the flow; what was computed, and the outcome. Every other stage was found in the cache."""
    state = curate(".", return_state=True)
    outcome = state.result()
    assert isinstance(outcome, CurationOutcome)
    stages = stages_of_run(state)
    assert stages.computed | stages.found == ALL_STAGES
    return stages.computed, outcome


def dvc(root: Path, *arguments: str) -> str:
    """Call DVC as a user would, with the small project's own code."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def registered(outcome: CurationOutcome) -> RegisteredVersion:
    assert outcome.model is not None
    return outcome.model


@pytest.fixture(scope="module")
def with_control(project: Path, finished: FirstRun) -> CurationOutcome:
    """The finished run, and then the same with a control."""
    change_parameters(project, baselines=["random"])
    computed, outcome = run_flow()
    assert computed == OF_THE_CONTROL | {"report"}, "the rest is found, in another folder and with another server"
    return outcome


def test_the_first_run_computes_every_stage_and_makes_what_it_says(finished: FirstRun) -> None:
    outcome, data = finished.outcome, finished.root / "data"
    assert finished.stages == StagesOfRun(computed=ALL_STAGES - OF_THE_CONTROL, found=frozenset())
    assert (outcome.pool, outcome.reference, outcome.picked) == (120, 12, 24)
    assert outcome.instructions == 36
    training = read_table(data / "training_set/samples.parquet", TRAINING_SAMPLES)
    assert training.num_rows == 36
    selection = read_table(data / "selection/selection.parquet", SELECTION)
    chosen = selection.filter(pc.or_(selection["picked"], selection["is_reference"]))
    assert sorted(chosen["sample_id"].to_pylist()) == training["sample_id"].to_pylist()
    assert {score.name for score in outcome.scores} == {"base", "tuned"}
    assert (finished.root / outcome.report).stat().st_size > 10_000
    assert (data / "model/adapter/adapter_model.safetensors").is_file()
    assert registered(outcome).created


def test_the_last_lines_and_the_report_account_for_every_record(
    finished: FirstRun, capsys: pytest.CaptureFixture[str]
) -> None:
    account = "120 records: 120 samples, 0 left out"
    show_outcome(finished.outcome)
    assert account in capsys.readouterr().out
    assert f"<p>{account}.</p>" in (finished.root / finished.outcome.report).read_text(encoding="utf-8")


def test_a_control_is_measured_beside_it(project: Path, with_control: CurationOutcome) -> None:
    assert {score.name for score in with_control.scores} == {"base", "tuned", "random"}
    assert not registered(with_control).created, "the model is the same"


def test_dvc_agrees_that_everything_is_up_to_date(project: Path, with_control: CurationOutcome) -> None:
    said = dvc(project, "repro")
    assert "up to date" in said
    assert "Running stage" not in said


@pytest.mark.soak
def test_what_dvc_computed_and_what_was_lost_is_found(project: Path, with_control: CurationOutcome) -> None:
    """What DVC computes; what is lost, from DVC's cache; and from the remote what the cache has lost too."""
    change_parameters(project, report={"grid_images": 5})
    assert dvc(project, "repro").count("Running stage") == 1
    data = project / "data"
    files = ("clusters/clusters.parquet", "model/adapter/adapter_model.safetensors", "scores/importance.parquet")
    before = [(data / name).read_bytes() for name in files]
    forget_in_cache(project, "data/scores")
    for name in ("clusters", "model", "scores"):
        shutil.rmtree(data / name)
    computed, outcome = run_flow()
    assert computed == set()
    assert registered(outcome) == registered(with_control)
    assert [(data / name).read_bytes() for name in files] == before


def forget_in_cache(project: Path, path: str) -> None:
    """Delete the objects of an artifact from DVC's cache; the remote has them."""
    stages = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"].values()
    (version,) = (out["md5"] for stage in stages for out in stage["outs"] if out["path"] == path)
    objects = project / ".dvc/cache/files/md5"
    listing = json.loads((objects / version[:2] / version[2:]).read_text(encoding="utf-8"))
    for md5 in {version, *(entry["md5"] for entry in listing)}:
        (objects / md5[:2] / md5[2:]).unlink()


@pytest.mark.soak
def test_a_change_runs_exactly_what_depends_on_it(project: Path, with_control: CurationOutcome) -> None:
    """A parameter, after which much runs, and a module, after whose stage nothing does: its output is equal."""
    source = project / "components/strategies/presel/task_importance.py"
    original = source.read_text(encoding="utf-8")
    source.write_text(original + "\n# a changed line\n", encoding="utf-8")
    change_parameters(project, final_tune={"epochs": 2})
    computed, outcome = run_flow()
    tuned_and_after = {"tune", "benchmark_tuned", "baseline_tune@random", "benchmark_baseline@random", "report"}
    assert computed == tuned_and_after | {"score"}
    assert registered(outcome).created

    source.write_text(original, encoding="utf-8")
    change_parameters(project, final_tune={"epochs": 1})
    computed, outcome = run_flow()
    assert computed == set(), "the first results are still in the cache"
    assert registered(outcome).version == registered(with_control).version
    assert "up to date" in dvc(project, "status")


def test_the_registered_model_loads_in_two_lines(project: Path, with_control: CurationOutcome) -> None:
    import mlflow
    import pandas as pd
    import peft
    import transformers

    model = mlflow.pyfunc.load_model(f"models:/{registered(with_control).name}@challenger")
    answers = model.predict(pd.DataFrame({"image": ["pool/images/color/0.png"], "question": ["What color is it?"]}))
    assert len(answers) == 1
    assert isinstance(answers[0], str)

    base = transformers.AutoModelForImageTextToText.from_pretrained(
        yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["vlm"]["model"]
    )
    tuned = peft.PeftModel.from_pretrained(base, project / "data/model/adapter")
    assert tuned.peft_config["default"].r == 32


def test_mlflow_tells_the_story(project: Path, finished: FirstRun) -> None:
    from tasks.platform.tracking import tracking_client

    client, outcome = tracking_client(), finished.outcome
    run = client.get_run(outcome.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["select.neighbours"] == "5"
    assert run.data.tags["presel.model_version"] == f"{registered(outcome).name}/{registered(outcome).version}"
    assert {given.dataset.name for given in run.inputs.dataset_inputs} == {"data/manifest", "data/training_set"}
    files = {file.path for file in client.list_artifacts(outcome.mlflow_run_id)}
    assert {"report.html", "dvc.lock", "params.yaml"} <= files
    nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{outcome.mlflow_run_id}'")
    metrics = {child.info.run_name: child.data.metrics for child in nested}
    assert {"ingest", "score", "tune", "benchmark_tuned"} <= set(metrics)
    tune = next(child for child in nested if child.info.run_name == "tune")
    assert len(client.get_metric_history(tune.info.run_id, "loss")) > 1, "metrics arrive while it runs"
    assert metrics["ingest"]["samples"] == 120


def test_the_report_is_linked_from_the_prefect_run(project: Path, with_control: CurationOutcome) -> None:
    from prefect.artifacts import Artifact

    found = Artifact.get("report")
    assert "report.html" in str(getattr(found, "data", ""))


def test_every_drop_and_record_is_counted(project: Path, with_control: CurationOutcome) -> None:
    from components.schemas import DROPPED

    for name in ("vectors", "instructions/reference", "instructions/selection", "reference_model", "scores", "model"):
        read_table(project / "data" / name / "dropped.parquet", DROPPED)
        assert (project / "data" / name / "artifact.json").is_file()
