"""Snapshots of what lies outside the artifacts: they change when a source, model or annotation file may have."""

from pathlib import Path

from prefect import task

from components.instruction_parameters import InstructionParameters
from components.parameters import BenchmarkSet, SourceParameters, TaskRule
from components.snapshot import snapshot_files, snapshot_model, snapshot_sources
from components.storage import write_text
from tasks.earlier import ensure_earlier
from tasks.workspace import Workspace


def _images_of(item: BenchmarkSet) -> SourceParameters:
    rule = TaskRule(constant=item.name)
    return SourceParameters(kind="image_folder", path=item.image_root, image_root=item.image_root, task=rule)


def _snapshot_instructions(parameters: InstructionParameters) -> str:
    """What instructions are made of: the annotation files, or the prompt templates and the local model."""
    if parameters.provider == "existing":
        return snapshot_files([file.path for file in parameters.annotations])
    templates = snapshot_files(sorted(Path(parameters.prompts).glob("*.yaml")))
    if parameters.provider != "local":
        return templates
    return templates + snapshot_model(parameters.model, parameters.revision)


@task(name="snapshot_inputs", persist_result=False)
def snapshot_inputs(workspace: Workspace) -> tuple[str, ...]:
    """Bring `data/inputs/*.json` up to date, and make sure that there is something to go on from, if only nothing.

    Returns:
        Names of the snapshots that changed.
    """
    ensure_earlier(workspace)
    parameters = workspace.parameters()
    vlm, encoder = parameters.vlm, parameters.encoder
    snapshots = {
        "sources": snapshot_sources(parameters.sources),
        "encoder": snapshot_model(encoder.model, encoder.revision),
        "vlm": snapshot_model(vlm.model, vlm.revision),
        "instructions": _snapshot_instructions(parameters.instructions),
        "benchmark": snapshot_files([item.path for item in parameters.benchmark.sets])
        + snapshot_sources([_images_of(item) for item in parameters.benchmark.sets]),
    }
    if parameters.strategy == "coincide":
        snapshots["concept_model"] = snapshot_model(parameters.coincide.model, parameters.coincide.revision)
    changed = []
    for name, text in snapshots.items():
        path = workspace.artifact("inputs") / f"{name}.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
            changed.append(name)
    return tuple(changed)
