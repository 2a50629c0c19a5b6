"""Looking at the models of a run before anything is bought; `presel plan` says what a run would stop for."""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from prefect import get_run_logger

from components.parameters.parameters import Parameters
from components.pool.manifest import read_images
from components.storage import write_text
from components.strategies.load import load_strategy
from tasks.platform.import_closure import code_of
from tasks.platform.snapshot import snapshot_file
from tasks.platform.workspace import STATE, Workspace

if TYPE_CHECKING:
    from components.models.vlm.image_fit import ImageFit

_PASSED = STATE / "checked-models"
_CODE = "components.models.check"


def check_models(workspace: Workspace) -> None:
    """Refuse a run whose models cannot do what it wants of them, once its pool is known.

    What passed is remembered, so that a run that finds everything in the cache loads nothing.

    Args:
        workspace: of the run, its pool ingested and its inputs' snapshots taken.

    Raises:
        UserError: a model cannot be used, or images do not fit into its context.
    """
    parameters, images = workspace.parameters(), read_images(workspace.artifact("manifest"))
    passed = _PASSED / _key(workspace, parameters, images)
    if passed.exists():
        return
    from components.models.check import ModelCheckError  # imports torch, which a cached run does without

    for fit in _fits(parameters, images):
        if fit.refusal:
            raise ModelCheckError(fit.refusal)
        get_run_logger().info("%s", fit.sentence)
    write_text(passed, "")


def about_models(parameters: Parameters, images: pa.Table) -> Iterator[str]:
    """What a plan says of the models: what an image takes of the context, and what a run would stop for.

    Args:
        parameters: of the run.
        images: of the pool, columns of `components.schemas.IMAGES`.

    Raises:
        UserError: a model cannot be used.
    """
    for fit in _fits(parameters, images):
        yield fit.sentence
        if fit.refusal:
            yield f"presel run would stop: {fit.refusal}."


def _fits(parameters: Parameters, images: pa.Table) -> "Iterator[ImageFit]":
    from components.models.check import check_read_model, check_tuned_model

    by_size, strategy = _by_size(images), load_strategy(parameters.strategy)
    yield check_tuned_model(parameters.vlm, parameters.tuning, by_size, scored=strategy.has_reference_set)
    for model in strategy.models(parameters).values():
        read = parameters.vlm.model_copy(update={"model": model.model, "revision": model.revision})
        yield check_read_model(read, model.layers, by_size)
    if parameters.instructions.provider == "local":
        from components.instructions.local.writer import check_writer

        check_writer(parameters.instructions, parameters.purchase.local)


def _by_size(images: pa.Table) -> dict[tuple[int, int], list[str]]:
    found: dict[tuple[int, int], list[str]] = {}
    rows = (images[name].to_pylist() for name in ("width", "height", "uri"))
    for width, height, uri in zip(*rows, strict=True):
        found.setdefault((width, height), []).append(uri)
    return found


def _key(workspace: Workspace, parameters: Parameters, images: pa.Table) -> str:
    """All that decides what the check finds: parameters, models, sizes, code and the version of transformers."""
    strategy = load_strategy(parameters.strategy)
    local = parameters.instructions.provider == "local"
    inputs = ["vlm", *strategy.models(parameters), *(["instructions"] if local else [])]
    decides = {
        "vlm": parameters.vlm.model_dump(mode="json"),
        "target_modules": parameters.tuning.target_modules,
        "layers": [model.layers for model in strategy.models(parameters).values()],
        "writer": parameters.instructions.model_dump(mode="json") if local else None,
        "writes": parameters.purchase.local.model_dump(mode="json") if local else None,
        "models": [snapshot_file(workspace, name).read_text(encoding="utf-8") for name in inputs],
        "sizes": sorted(_by_size(images)),
        "code": [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in code_of(_CODE, strategy.name)],
        "transformers": version("transformers"),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
