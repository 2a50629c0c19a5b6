"""MLflow is gone for a whole run: the run completes, and the next one tells MLflow everything, once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.laboratory import Laboratory, answers, clean_environment, free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


@contextmanager
def mlflow_server(laboratory: Laboratory, port: int) -> Iterator[None]:
    """A real server with a database and artifacts of its own."""
    home = laboratory.root.parent / "mlflow-server"
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{home / 'mlflow.db'}",
        "--artifacts-destination",
        str(home / "files"),
    ]
    with (home / "log").open("ab") as log:
        process = subprocess.Popen(
            command, env=clean_environment(), cwd=home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the MLflow server never answered")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_whole_run_without_mlflow(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("--set", "baselines=[]", "--set", "final_tune.epochs=2", "--set", "registry.model_name=untold")
    here = ("run", "--name", "untold", *settings)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    away = {"MLFLOW_TRACKING_URI": address}
    done = laboratory.presel(*here, environment=away)
    assert done.code == 0, done.output
    assert done.output.count("cannot be told") == 1, "one warning, not one per number"
    assert "a version of untold when MLflow answers again" in done.output

    waits = laboratory.presel("sync", environment=away)
    assert waits.code == 1
    assert "could not be told" in waits.output
    unset = laboratory.presel("sync")
    assert unset.code == 1
    assert f"wait for {address}, which is not the configured server" in unset.output

    with mlflow_server(laboratory, port):
        told = laboratory.presel("sync", environment=away)
        assert told.code == 0, told.output
        assert "nothing is kept" in told.output
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        check_story()


def check_story() -> None:
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
