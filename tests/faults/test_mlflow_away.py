"""MLflow is gone for a whole run: the run completes, and the next one tells MLflow everything, once."""

import pytest

from tests.faults.laboratory import Laboratory, free_port

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


def test_a_whole_run_without_mlflow(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("--set", "baselines=[]", "--set", "final_tune.epochs=2", "--set", "registry.model_name=untold")
    here = ("run", "--name", "untold", *settings)
    nobody = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"}
    done = laboratory.presel(*here, environment=nobody)
    assert done.code == 0, done.output
    assert done.output.count("cannot be told") == 1, "one warning, not one per number"
    assert "a version of untold when MLflow answers again" in done.output
    assert (laboratory.root / ".presel/spool/operations.sqlite").is_file()

    waits = laboratory.presel("sync", environment=nobody)
    assert waits.code == 1
    assert "could not be told" in waits.output

    told = laboratory.presel("sync")
    assert told.code == 0, told.output
    assert "nothing is kept" in told.output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{laboratory.root / '.presel/mlflow.db'}")
    check_story(laboratory)


def check_story(laboratory: Laboratory) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    (version,) = client.search_model_versions("name='untold'")
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["presel.workspace"] == "runs/untold"
    assert run.data.tags["presel.model_version"] == f"untold/{version.version}"
    assert run.data.params["final_tune.epochs"] == "2.0"
    assert {dataset.dataset.name for dataset in run.inputs.dataset_inputs} == {"data/manifest", "data/training_set"}
    files = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "dvc.lock", "params.yaml"} <= files
    nested = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    (tune,) = [one for one in nested if one.data.tags["presel.stage"] == "tune"]
    losses = client.get_metric_history(tune.info.run_id, "loss")
    assert len(losses) > 1
    assert [metric.step for metric in losses] == list(range(1, len(losses) + 1))
    assert all(tune.info.start_time - 60_000 <= metric.timestamp <= run.info.end_time for metric in losses)
