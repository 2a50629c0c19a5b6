"""Snapshots of what lies outside the artifacts: they change when a source, model or annotation file may have."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task

from components.instructions.open_provider import PROVIDERS
from components.parameters.instructions import InstructionParameters
from components.parameters.parameters import BenchmarkSet, Parameters, SourceParameters, TaskRule
from components.plan.inputs import describe_annotated, describe_inputs, read_inputs
from components.pool.manifest import read_samples
from components.pool.snapshot import canonical, snapshot_files, snapshot_model
from components.pool.sources import snapshot_sources
from components.storage import write_text
from components.strategies.load import load_strategy
from tasks.platform.finished import ensure_earlier
from tasks.platform.stage_context import CurationRun
from tasks.platform.workspace import Workspace


def _images_of(item: BenchmarkSet) -> SourceParameters:
    rule = TaskRule(constant=item.name)
    return SourceParameters(kind="image_folder", path=item.image_root, image_root=item.image_root, task=rule)


def _snapshot_instructions(parameters: InstructionParameters) -> str:
    """What instructions are made of: the annotation files, or the prompt templates and the local model."""
    kind = PROVIDERS[parameters.provider]
    if not kind.writes:
        return snapshot_files([file.path for file in parameters.annotations])
    templates = snapshot_files(sorted(Path(parameters.prompts).glob("*.yaml")))
    return templates + (snapshot_model(parameters.model, parameters.revision) if kind.loads_model else "")


@task(name="snapshot_inputs", persist_result=False)
def snapshot_inputs(workspace: Workspace) -> tuple[str, ...]:
    """Bring `data/inputs/*.json` up to date, and make sure that there is something to go on from, if only nothing.

    Returns:
        Names of the snapshots that changed.

    Raises:
        UserError: a benchmark set or annotation file cannot be used.
    """
    ensure_earlier(workspace)
    snapshots = take_snapshots(workspace.parameters())
    _check_once(workspace, snapshots)
    changed = changed_inputs(workspace, snapshots)
    for name in changed:
        write_text(snapshot_file(workspace, name), snapshots[name])
    return changed


def check_annotated(run: CurationRun) -> None:
    """Make sure, before anything is computed, that a provider that cannot write has instructions of the pool at hand.

    Raises:
        AnnotationFileError: it has none.
    """
    place = run.workspace
    for sentence in describe_annotated(read_samples(place.artifact("manifest")), place.parameters()):
        get_run_logger().info(sentence)


def _check_once(workspace: Workspace, snapshots: Mapping[str, str]) -> None:
    """Look at benchmark sets and annotation files, unless an earlier run found these very ones good."""
    parameters = workspace.parameters()
    read = {
        "benchmark": [one.model_dump(mode="json") for one in parameters.benchmark.sets],
        "instructions": parameters.instructions.model_dump(mode="json", include={"provider", "annotations"}),
        "pixel_limit": parameters.ingest.pixel_limit,
        "snapshots": [snapshots["benchmark"], snapshots["instructions"]],
    }
    digest = hashlib.sha256(canonical(read).encode()).hexdigest()
    record = workspace.artifact("inputs") / "checked.txt"
    if record.exists() and record.read_text(encoding="utf-8") == digest:
        return
    for sentence in describe_inputs(read_inputs(parameters)):
        get_run_logger().info(sentence)
    write_text(record, digest)


def changed_inputs(workspace: Workspace, snapshots: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the snapshots that are not as they were when the workspace last ran; nothing is written.

    Args:
        workspace: with its parameters.
        snapshots: name -> what it is now.
    """
    files = {name: snapshot_file(workspace, name) for name in snapshots}
    return tuple(
        name
        for name, file in files.items()
        if not file.exists() or file.read_bytes() != snapshots[name].encode("utf-8")
    )


def snapshot_file(workspace: Workspace, name: str) -> Path:
    """Where a snapshot is kept."""
    return workspace.artifact("inputs") / f"{name}.json"


def take_snapshots(parameters: Parameters) -> dict[str, str]:
    """Describe what lies outside the artifacts, by the names of the snapshots.

    Raises:
        UserError: a source, model or file is not there.
    """
    vlm, encoder = parameters.vlm, parameters.encoder
    snapshots = {
        "sources": snapshot_sources(parameters.sources),
        "encoder": snapshot_model(encoder.model, encoder.revision),
        "vlm": snapshot_model(vlm.model, vlm.revision),
        "instructions": _snapshot_instructions(parameters.instructions),
        "benchmark": snapshot_files([item.path for item in parameters.benchmark.sets])
        + snapshot_sources([_images_of(item) for item in parameters.benchmark.sets]),
    }
    for name, model in load_strategy(parameters.strategy).models(parameters).items():
        snapshots[name] = snapshot_model(model.model, model.revision)
    return snapshots
