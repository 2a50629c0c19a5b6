"""A comparison in MLflow: the run that the compared curation runs are nested in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run

from tasks.git_commit import git_commit
from tasks.tracking import experiment_id, metric_name, tracking_client


@contextmanager
def open_comparison_run(name: str, parameters: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The parent run of a comparison; finished, failed or killed as the block ends.

    Args:
        name: of the comparison.
        parameters: what was compared, as (name, value).

    Yields:
        Its id.
    """
    from mlflow.entities import Param

    client = tracking_client()
    tags = {
        "presel.comparison": name,
        "presel.git_commit": git_commit(),
        "prefect.flow_run": flow_run.name or "",
        "prefect.flow_run_id": flow_run.id or "",
    }
    run_id = str(client.create_run(experiment_id(client), run_name=flow_run.name or "compare", tags=tags).info.run_id)
    status = "FAILED"
    try:
        client.log_batch(run_id, params=[Param(key, value) for key, value in parameters])
        yield run_id
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


@task(name="publish_comparison", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_comparison(run_id: str, metrics: Sequence[tuple[str, float]], page: Path, files: Sequence[Path]) -> None:
    """Keep the numbers and the page with the MLflow run and link the page from the Prefect run."""
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    client, now = tracking_client(), get_current_time_millis()
    client.log_batch(run_id, metrics=[Metric(metric_name(name), value, now, 0) for name, value in metrics])
    for file in (page, *files):
        client.log_artifact(run_id, str(file))
    create_link_artifact(
        key="comparison",
        link=page.resolve().as_uri(),
        link_text="comparison",
        description=f"Also an artifact of MLflow run {run_id}.",
    )
