"""How the tests of the trainer run it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from components.compute.ray_engine import RayEngine
from components.models.training.train import TuneResult
from components.models.training.training_log import TrainingLogRow
from components.models.training.tune import tune
from components.parameters.parameters import TuningParameters, VlmParameters
from components.pool.samples import InstructedImage
from tests.components.models.vlm.toy_architectures import CONTEXT_LENGTH

PIXEL_LIMIT = 1_000_000


def vlm_parameters(folder: Path, **changes: object) -> VlmParameters:
    values: dict[str, object] = {
        "model": str(folder),
        "revision": None,
        "context_length": CONTEXT_LENGTH,
        "max_pixels": None,
        "template_arguments": {},
        "device": "cpu",
        "dtype": "float32",
    }
    return VlmParameters.model_validate(values | changes)


def tuning_parameters(**changes: object) -> TuningParameters:
    values: dict[str, object] = {
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "target_modules": "all-linear",
        "learning_rate": 0.01,
        "schedule": "cosine",
        "warmup_ratio": 0.0,
        "weight_decay": 0.0,
        "batch_size": 4,
        "gradient_accumulation": 1,
        "gradient_checkpointing": False,
        "processes": 1,
        "shard": False,
        "checkpoint_every": 100,
        "log_every": 1,
    }
    return TuningParameters.model_validate(values | changes)


def run(
    samples: Sequence[InstructedImage],
    folder: Path,
    *,
    vlm: VlmParameters,
    epochs: float = 1,
    seed: int = 1,
    on_log: Callable[[TrainingLogRow], None] = lambda row: None,
    cluster: RayEngine | None = None,
    **changes: object,
) -> TuneResult:
    return tune(
        samples,
        folder / "adapter",
        vlm=vlm,
        tuning=tuning_parameters(**changes),
        epochs=epochs,
        seed=seed,
        pixel_limit=PIXEL_LIMIT,
        checkpoint_directory=folder / "checkpoints",
        on_log=on_log,
        cluster=cluster,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "adapter" / "adapter_model.safetensors"))


def assert_same_adapter(first: Path, second: Path, *, tolerance: float) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], atol=tolerance, rtol=0)
