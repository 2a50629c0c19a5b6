"""What MLflow is told: one run per curation run, a nested run per stage that computes something worth a number."""

import os
import re
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tasks.workspace import STATE

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "presel"


def tracking_client() -> "MlflowClient":
    """A client of the configured tracking server (`MLFLOW_TRACKING_URI`)."""
    from mlflow import MlflowClient

    return MlflowClient()


def experiment_id(client: "MlflowClient") -> str:
    """The experiment of all curation runs, created on first use."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is not None:
        return str(experiment.experiment_id)
    embedded = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
    # A database backend without a server would put artifacts beside the working directory.
    location = (Path.cwd() / STATE / "mlflow-artifacts").as_uri() if embedded else None
    # The kind decides which of MLflow's pages opens first: runs and metrics, not traces of agents.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=kind))


def metric_name(name: str) -> str:
    """MLflow allows fewer characters than a task's name may have."""
    return re.sub(r"[^\w./: -]", "_", name)


class StageTracker:
    """Metrics of one stage. Its nested run is created with the first of them.

    Args:
        parent_run_id: the curation run; None: metrics are not kept (`dvc repro`).
        stage: the stage's name.
    """

    def __init__(self, parent_run_id: str | None, stage: str) -> None:
        self._parent_run_id = parent_run_id
        self._stage = stage
        self._client: MlflowClient | None = None
        self._run_id = ""

    def __enter__(self) -> "StageTracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.set_terminated(self._run_id, "FINISHED" if error is None else "FAILED")

    @property
    def parent_run_id(self) -> str | None:
        """The curation run, when there is one."""
        return self._parent_run_id

    def log_metric(self, name: str, value: float, *, step: int = 0) -> None:
        """Keep one number."""
        client = self._open()
        if client is not None:
            client.log_metric(self._run_id, name, value, step=step)

    def log_summary(self, metrics: tuple[tuple[str, float], ...], note: str) -> None:
        """Keep the stage's final numbers; a stage with none but its duration gets no run."""
        if len(metrics) == 1 and self._client is None:
            return
        client = self._open()
        if client is None:
            return
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        client.log_batch(self._run_id, metrics=[Metric(metric_name(name), value, now, 0) for name, value in metrics])
        client.set_tag(self._run_id, "mlflow.note.content", note)

    def _open(self) -> "MlflowClient | None":
        if self._parent_run_id is None:
            return None
        if self._client is None:
            client = tracking_client()
            tags = {"mlflow.parentRunId": self._parent_run_id, "presel.stage": self._stage}
            run: Any = client.create_run(experiment_id(client), run_name=self._stage, tags=tags)
            self._client, self._run_id = client, str(run.info.run_id)
        return self._client
