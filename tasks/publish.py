"""The end of a run: the report in MLflow and linked from Prefect, the versions in the DVC remote and in git."""

import subprocess

from prefect import get_run_logger, task
from prefect.artifacts import create_link_artifact

from tasks.stage import CurationRun
from tasks.tracking import tracking_client
from tasks.versioning import Artifact, push_outputs


@task(name="publish_report", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_report(run: CurationRun, report: Artifact) -> None:
    """Keep the report with the MLflow run and link it from the Prefect run."""
    page = run.workspace.artifact("report") / "report.html"
    assert run.mlflow_run_id is not None
    tracking_client().log_artifact(run.mlflow_run_id, str(page))
    create_link_artifact(
        key="report",
        link=page.resolve().as_uri(),
        link_text="curation report",
        description=f"Version {report.dvc_hash} of the report; also an artifact of MLflow run {run.mlflow_run_id}.",
    )


@task(name="publish_versions", persist_result=False, retries=2, retry_delay_seconds=5)
def publish_versions(run: CurationRun) -> None:
    """Copy new versions to the DVC remote; commit the record to git when the parameters say so."""
    parameters = run.workspace.parameters().versioning
    if parameters.push_to_remote:
        get_run_logger().info("%d files copied to the DVC remote", push_outputs(run.workspace))
    if parameters.commit_to_git:
        place = run.workspace
        files = [str(place.pipeline_file), str(place.lock_file), str(place.parameter_file)]
        subprocess.run(["git", "add", "--", *files], check=True)
        if subprocess.run(["git", "diff", "--cached", "--quiet", "--", *files], check=False).returncode:
            message = f"Record curation run {run.mlflow_run_id}"
            subprocess.run(["git", "commit", "-q", "-m", message, "--", *files], check=True)
