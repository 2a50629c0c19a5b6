"""Looking at the models of a run before anything is computed or bought."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from components.parameters.parameters import Parameters
from components.storage import write_text
from components.strategies.load import load_strategy
from tasks.platform.import_closure import code_of
from tasks.platform.snapshot import snapshot_file
from tasks.platform.workspace import STATE, Workspace

_PASSED = STATE / "checked-models"
_CODE = ("components.models.check", "components.models.embedding.encoder")
_ENCODER = "inputs/encoder.json"


def check_models(workspace: Workspace) -> None:
    """Refuse a run whose models cannot do what it wants of them.

    What passed is remembered, so that a run that finds everything in the cache loads nothing.

    Args:
        workspace: of the run, its inputs' snapshots taken.

    Raises:
        UserError: a model cannot be used.
    """
    passed = _PASSED / _key(workspace, workspace.parameters())
    if not passed.exists():
        look_at_models(workspace.parameters())
        write_text(passed, "")


def look_at_models(parameters: Parameters) -> None:
    """Open the models of a run without their weights, of which the heads of the files are read.

    Raises:
        UserError: a model cannot be used.
    """
    from components.models.check import check_read_model, check_tuned_model  # import torch, as above
    from components.models.embedding.encoder import check_encoder
    from components.models.training.tuning_processes import tuning_processes, visible_gpus

    strategy = load_strategy(parameters.strategy)
    if _ENCODER in strategy.evidence:
        check_encoder(parameters.encoder)
    check_tuned_model(parameters.vlm, parameters.tuning, scored=strategy.has_reference_set)
    if parameters.compute.engine == "local":
        tuning_processes(parameters.tuning, gpus=visible_gpus(parameters.vlm))
    for model in strategy.models(parameters).values():
        read = parameters.vlm.model_copy(update={"model": model.model, "revision": model.revision})
        check_read_model(read, model.layers)
    if parameters.instructions.provider == "local":
        from components.instructions.local.writer import check_writer

        check_writer(parameters.instructions, parameters.purchase.local)


def _key(workspace: Workspace, parameters: Parameters) -> str:
    """All that decides what the check finds: parameters, models, code and the version of transformers."""
    strategy = load_strategy(parameters.strategy)
    local = parameters.instructions.provider == "local"
    embeds = _ENCODER in strategy.evidence
    inputs = [
        "vlm",
        *(["encoder"] if embeds else []),
        *strategy.models(parameters),
        *(["instructions"] if local else []),
    ]
    decides = {
        "vlm": parameters.vlm.model_dump(mode="json"),
        "encoder": parameters.encoder.model_dump(mode="json") if embeds else None,
        "target_modules": parameters.tuning.target_modules,
        "processes": (parameters.compute.engine, parameters.tuning.processes, parameters.tuning.shard),
        "layers": [model.layers for model in strategy.models(parameters).values()],
        "writer": parameters.instructions.model_dump(mode="json") if local else None,
        "writes": parameters.purchase.local.model_dump(mode="json") if local else None,
        "models": [snapshot_file(workspace, name).read_text(encoding="utf-8") for name in inputs],
        "code": [
            hashlib.sha256(Path(file).read_bytes()).hexdigest()
            for module in _CODE
            for file in code_of(module, strategy.name)
        ],
        "transformers": version("transformers"),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
