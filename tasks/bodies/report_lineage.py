"""What the report says of where a run comes from."""

import hashlib
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from components import schemas
from components.instructions.ledger.ledger import open_ledger
from components.lineage.ledger_history import request_histories
from components.lineage.lock_file import parse_lock
from components.lineage.summarise import group_by_author
from components.lineage.trace_samples import TracedSample, trace_samples
from components.report.inputs import Lineage, Version
from components.storage import read_table
from tasks.platform.journal import run_page
from tasks.platform.run_files import git_commit
from tasks.platform.stage import StageContext

LIBRARIES = ("torch", "transformers", "peft", "faiss-cpu", "lancedb", "prefect", "dvc", "mlflow")
ARTIFACTS = (
    ("pool", "data/manifest"),
    ("selection", "data/selection"),
    ("training set", "data/training_set"),
    ("adapter", "data/model"),
)
SAMPLES_SHOWN = 200


def report_lineage(context: StageContext, selection: pa.Table, instructions: Mapping[str, pa.Table]) -> Lineage:
    """Walk the run's training set back.

    Args:
        context: of the stage report.
        selection: columns of `components.schemas.SELECTION`.
        instructions: columns of `components.schemas.INSTRUCTIONS`, by origin.
    """
    from prefect.context import FlowRunContext
    from prefect.utilities.urls import url_for

    commit = git_commit()
    lock = context.workspace.lock_file
    flow_context = FlowRunContext.get()
    flow_run = flow_context.flow_run if flow_context else None
    run_id = context.tracker.parent_run_id
    samples = _traced(context, selection, instructions)
    return Lineage(
        created_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        git_commit=commit.removesuffix("-dirty"),
        git_dirty=commit.endswith("-dirty"),
        dvc_lock_digest=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else "",
        flow_run_id=str(flow_run.id) if flow_run else "",
        flow_run_name=flow_run.name if flow_run else "",
        flow_run_url=(url_for("flow-run", obj_id=flow_run.id) or "") if flow_run else "",
        mlflow_run_url="" if run_id is None else run_page(run_id),
        versions=(
            Version("python", platform.python_version()),
            *(Version(name, version(name)) for name in LIBRARIES),
            Version("encoder", context.parameters.encoder.model),
            Version("vision-language model", context.parameters.vlm.model),
        ),
        parameters=Path(context.workspace.parameter_file).read_text(encoding="utf-8"),
        artifacts=_artifacts(lock),
        authors=group_by_author(samples),
        samples=samples[:SAMPLES_SHOWN],
        all_samples=len(samples),
    )


def _traced(
    context: StageContext, selection: pa.Table, instructions: Mapping[str, pa.Table]
) -> tuple[TracedSample, ...]:
    training_set = read_table(context.input("training_set") / "samples.parquet", schemas.TRAINING_SAMPLES)
    ids = [one for table in instructions.values() for one in table["request_id"].to_pylist()]
    with open_ledger(context.parameters.instructions.ledger) as ledger:
        histories = request_histories(ledger, ids)
    return trace_samples(training_set, selection, instructions, histories)


def _artifacts(lock: Path) -> tuple[Version, ...]:
    """Versions as dvc.lock has them, which every stage before this one has written."""
    if not lock.exists():
        return ()
    written = {out.path: out.md5 for stage in parse_lock(lock.read_text(encoding="utf-8")) for out in stage.writes}
    return tuple(Version(name, written[path].removesuffix(".dir")) for name, path in ARTIFACTS if path in written)
