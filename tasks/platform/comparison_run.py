"""A comparison in MLflow: the run that the compared curation runs are nested in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run

from tasks.platform.journal import (
    log_file,
    log_values,
    open_run,
    set_status,
    start_telling,
)
from tasks.platform.journal_entries import RunStatus
from tasks.platform.run_files import git_commit
from tasks.platform.tag_names import COMMIT_TAG, COMPARISON_TAG, FLOW_RUN_ID_TAG, FLOW_RUN_TAG
from tasks.platform.tracking import metric_name


@contextmanager
def open_comparison_run(name: str, parameters: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The parent run of a comparison; finished, failed or killed as the block ends.

    Args:
        name: of the comparison.
        parameters: what was compared, as (name, value).

    Yields:
        Its id.
    """
    start_telling()
    tags = [
        (COMPARISON_TAG, name),
        (COMMIT_TAG, git_commit()),
        (FLOW_RUN_TAG, flow_run.name or ""),
        (FLOW_RUN_ID_TAG, flow_run.id or ""),
    ]
    run_id = open_run(flow_run.name or "compare", tags=tags)
    status: RunStatus = "FAILED"
    try:
        log_values(run_id, params=parameters)
        yield run_id
        status = "FINISHED"
    finally:
        set_status(run_id, status)


@task(name="publish_comparison", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_comparison(run_id: str, metrics: Sequence[tuple[str, float]], page: Path, files: Sequence[Path]) -> None:
    """Keep the numbers and the page with the MLflow run and link the page from the Prefect run."""
    log_values(run_id, metrics=[(metric_name(name), value) for name, value in metrics])
    for file in (page, *files):
        log_file(run_id, str(file))
    create_link_artifact(
        key="comparison",
        link=page.resolve().as_uri(),
        link_text="comparison",
        description=f"Also an artifact of MLflow run {run_id}.",
    )
