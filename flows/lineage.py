"""`presel lineage`: from a version of the registered model back to the pool."""

import hashlib
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import yaml

from components import schemas
from components.instructions.ledger.ledger import open_ledger
from components.lineage.ledger_history import RequestHistory, request_histories
from components.lineage.lock_file import ancestors, written_path
from components.lineage.model_lineage import ModelFacts, ModelLineage, RunFacts
from components.lineage.objects import artifact_file, check_out
from components.lineage.trace_samples import TracedSample, trace_samples
from components.parameters.reading import merge_overlays
from components.storage import read_table, write_text
from flows.explain import explain_in_workspace
from tasks.platform.dvc_objects import open_objects
from tasks.platform.model_versions import ModelVersion, find_version
from tasks.platform.promotion import decision_tags
from tasks.platform.run_archive import RunArchive, open_archive
from tasks.platform.tag_names import COST_TAG, FLOW_RUN_URL_TAG, GOES_ON_FROM_TAG
from tasks.platform.workspace import STATE, Workspace


def trace_model(name: str | None) -> ModelLineage:
    """Walk a version of the registered model back.

    Everything is read by its hash from the DVC cache or the remote, so it does not matter what the workspace holds now.

    Args:
        name: of the version, as `find_version` takes it; None: the newest.

    Raises:
        LineageError: something that the walk needs is not recorded or lost.
        LedgerError: the ledger of the run cannot be opened.
    """
    version = find_version(name)
    archive = open_archive(version.run_id)
    stages = archive.stages
    with open_objects() as find:

        def table(folder: str, file: str, schema: pa.Schema) -> pa.Table:
            return read_table(artifact_file(written_path(stages, f"data/{folder}"), file, find), schema)

        training_set = table("training_set", "samples.parquet", schemas.TRAINING_SAMPLES)
        origins = sorted(set(training_set["origin"].to_pylist()))
        instructions = {
            origin: table(f"instructions/{origin}", "instructions.parquet", schemas.INSTRUCTIONS) for origin in origins
        }
        samples = trace_samples(
            training_set,
            table("selection", "selection.parquet", schemas.SELECTION),
            instructions,
            _histories(archive, instructions),
        )
        pool_samples = table("manifest", "samples.parquet", schemas.SAMPLES).num_rows
    return ModelLineage(
        model=_model_facts(version),
        run=_run_facts(archive),
        adapter=written_path(stages, "data/model"),
        training_set=written_path(stages, "data/training_set"),
        selection=written_path(stages, "data/selection"),
        pool=written_path(stages, "data/manifest"),
        pool_samples=pool_samples,
        samples=samples,
        parameters=archive.parameter_text,
    )


def explain_traced(lineage: ModelLineage, sample: str) -> str:
    """Say why a sample was or was not picked, as `presel explain` did when the run was new.

    The run's artifacts are laid out in a temporary workspace by hard links to the DVC cache.

    Args:
        lineage: of the model.
        sample: as `presel explain` takes it.

    Raises:
        LineageError: an artifact of the run is lost.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    archive = open_archive(lineage.run.run_id)
    with tempfile.TemporaryDirectory(prefix="lineage-", dir=_scratch()) as folder, open_objects() as find:
        workspace = Workspace(folder)
        # A parameter that came after the run is as it is today; it had no say then.
        write_text(workspace.parameter_file, archive.parameter_text)
        values = merge_overlays(Workspace(".").parameter_file, [workspace.parameter_file])
        write_text(workspace.parameter_file, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        for stage in ancestors(archive.stages, "data/selection"):
            for output in stage.writes:
                check_out(output, Path(folder) / output.path, find, link=True)
        return explain_in_workspace(workspace, sample)


def _scratch() -> Path:
    """A folder on the file system of the cache, so that hard links work."""
    folder = STATE / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _histories(archive: RunArchive, instructions: Mapping[str, pa.Table]) -> dict[str, RequestHistory]:
    ids = [one for table in instructions.values() for one in table["request_id"].to_pylist()]
    with open_ledger(archive.ledger, make=False) as ledger:
        return request_histories(ledger, ids)


def _model_facts(version: ModelVersion) -> ModelFacts:
    decision, at, by = decision_tags(version.tags)
    return ModelFacts(
        name=version.name,
        version=version.version,
        aliases=tuple(sorted(version.aliases)),
        registered_at=time_text(version.created_ms),
        decision=decision,
        decided_at=at,
        decided_by=by,
    )


def _run_facts(archive: RunArchive) -> RunFacts:
    return RunFacts(
        run_id=archive.run_id,
        name=archive.name,
        workspace=archive.workspace,
        started_at=time_text(archive.started_ms),
        strategy=archive.strategy,
        commit=archive.commit,
        has_changed_code=archive.has_changed_code,
        lock_sha256=hashlib.sha256(archive.lock_text.encode()).hexdigest(),
        flow_run_url=page if (page := archive.tags.get(FLOW_RUN_URL_TAG, "")).startswith("http") else "",
        cost_usd=float(archive.tags.get(COST_TAG, 0)),
        goes_on_from=archive.tags.get(GOES_ON_FROM_TAG, ""),
    )


def time_text(milliseconds: int) -> str:
    """A time of MLflow's for a person."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def find_traced(lineage: ModelLineage, name: str) -> tuple[TracedSample, ...]:
    """The samples of the training set that go by a name; none for one that was not chosen.

    Args:
        lineage: of the model.
        name: a sample id, an image path or the start of an image's sha256.
    """
    return tuple(
        sample
        for sample in lineage.samples
        if name in (sample.sample_id, sample.uri) or (len(name) >= 8 and sample.image_sha.startswith(name))
    )
