"""What MLflow says of a run and of its model, held against its own record and the adapter."""

import hashlib
import tempfile
from pathlib import Path

from components.lineage.check_artifacts import LOST, Mismatch, compare_files
from components.lineage.lock_file import LineageError, LockedPath
from components.lineage.objects import ListedFile, folder_listing
from tasks.platform.model_versions import ModelVersion, find_version
from tasks.platform.run_archive import RunArchive
from tasks.platform.run_files import CODE_NAME
from tasks.platform.tag_names import ADAPTER_TAG, CODE_TAG, LOCK_TAG, PARENT_TAG, STAGE_TAG
from tasks.platform.tracking import experiment_id, tracking_client

RECORD = "MLflow run"
MODEL = "registered model"


def check_record(archive: RunArchive) -> list[Mismatch]:
    """Whether the dvc.lock and the change of the code that MLflow keeps are those that it was told of."""
    digests = [("dvc.lock", archive.tags.get(LOCK_TAG, ""), archive.lock_text.encode())]
    if CODE_TAG in archive.tags:
        kept = archive.file(CODE_NAME) if CODE_NAME in archive.files else b""
        digests.append((CODE_NAME, archive.tags[CODE_TAG], kept))
    found = [(name, expected, hashlib.sha256(kept).hexdigest() if kept else "") for name, expected, kept in digests]
    return [
        Mismatch(RECORD, f"sha256 of {name}", expected or LOST, digest or LOST)
        for name, expected, digest in found
        if expected != digest
    ]


def stage_costs(archive: RunArchive) -> dict[str, float]:
    """What the stages of a run that bought instructions said these cost, in dollars, by stage."""
    client = tracking_client()
    query = f"tags.`{PARENT_TAG}` = '{archive.run_id}'"
    # Oldest first: of a stage that ran again after a retry the last word counts.
    order = ["attributes.start_time ASC"]
    nested = client.search_runs([experiment_id(client)], query, max_results=1000, order_by=order)
    return {
        run.data.tags[STAGE_TAG]: run.data.metrics["cost_usd"]
        for run in nested
        if "cost_usd" in run.data.metrics and STAGE_TAG in run.data.tags and run.info.status == "FINISHED"
    }


def check_model(archive: RunArchive, adapter: LockedPath, listing: tuple[ListedFile, ...]) -> list[Mismatch]:
    """Whether the registered version holds the run's adapter.

    Args:
        archive: the run, which has a registered version.
        adapter: the artifact `model`.
        listing: its files.
    """
    try:
        version = find_version(archive.model_version)
    except LineageError:
        return [Mismatch(MODEL, archive.model_version, "a version", LOST)]
    wrong = []
    if version.tags.get(ADAPTER_TAG) != adapter.md5:
        wrong.append(Mismatch(MODEL, f"tag {ADAPTER_TAG}", adapter.md5, version.tags.get(ADAPTER_TAG) or LOST))
    expected = [one for one in listing if one.path.startswith("adapter/")]
    return wrong + compare_files(MODEL, expected, _registered_files(version))


def _registered_files(version: ModelVersion) -> tuple[ListedFile, ...]:
    """The files of the adapter in a registered model, as `adapter/NAME`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="presel-model-") as folder:
        try:
            path = Path(mlflow.artifacts.download_artifacts(f"{version.address}/artifacts", dst_path=folder))
        except (MlflowException, OSError):
            return ()
        return folder_listing(path)
