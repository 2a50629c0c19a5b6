"""One LoRA tune, from samples to an adapter on disk; a killed one continues at its newest checkpoint."""

import inspect
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from components.models.training.checkpoints import newest_checkpoint, run_fingerprint
from components.models.training.listener import DivergedError, TrainingListener
from components.models.training.lora import add_lora, save_adapter, trainable_parameters
from components.models.training.training_data import prepare_training_data
from components.models.training.training_log import TrainingLogRow, log_table
from components.models.training.update_loss import logits_needed, update_loss
from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample
from components.models.vlm.load import LoadedVlm, load_vlm
from components.parameters.parameters import TuningParameters, VlmParameters
from components.pool.samples import Dropped, InstructedImage

GRADIENT_NORM_LIMIT = 1.0  # as in LLaVA's and PreSel's recipes
CHECKPOINTS_KEPT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What a tune did.

    Attributes:
        updates: optimiser updates the adapter has had.
        resumed_at: updates of them that an earlier, killed run had made; 0 when this run made all.
        samples: samples trained on in every epoch.
        truncated: how many of them were cut at the context length.
        dropped: samples left out.
        seconds: wall time of this run.
        log: table with columns `schemas.TRAINING_LOG`, the earlier run's rows included.
    """

    updates: int
    resumed_at: int
    samples: int
    truncated: int
    dropped: tuple[Dropped, ...]
    seconds: float
    log: pa.Table


def tune(
    samples: Sequence[InstructedImage],
    adapter_directory: Path,
    *,
    vlm: VlmParameters,
    tuning: TuningParameters,
    epochs: float,
    seed: int,
    pixel_limit: int,
    checkpoint_directory: Path,
    on_log: Callable[[TrainingLogRow], None],
) -> TuneResult:
    """Tune LoRA layers on a model's language model with the mean loss per response token.

    Deterministic for a seed on a CPU: order of the samples, initial adapter and dropout derive from it.

    Args:
        samples: what to train on.
        adapter_directory: gets `adapter_model.safetensors` and `adapter_config.json`, both or none.
        vlm: the model.
        tuning: the trainer's parameters.
        epochs: passes over the samples.
        seed: of every random choice.
        pixel_limit: pixels (width x height) above which an image is refused.
        checkpoint_directory: where a killed run is continued from; removed at the end.
        on_log: gets metrics every `tuning.log_every` updates and at the last; a run that continues an earlier
            one first repeats the earlier rows.

    Returns:
        Counts, time and log.

    Raises:
        ValueError: there is no usable sample, or the parameters do not fit the model.
        DivergedError: the loss diverges.
    """
    began = time.monotonic()
    loaded = load_vlm(vlm)
    prepared = prepare_training_data(loaded, samples, pixel_limit=pixel_limit)
    fingerprint = run_fingerprint(
        prepared.data.samples, vlm=vlm, tuning=tuning, epochs=epochs, seed=seed, device=loaded.device
    )
    checkpoint = newest_checkpoint(checkpoint_directory, fingerprint=fingerprint)
    set_seed(seed)
    model = add_lora(loaded, tuning, vlm)
    _prepare_for_training(loaded)
    logger.info(
        "tuning %d parameters on %d samples%s",
        trainable_parameters(model),
        len(prepared.data),
        f", from update {checkpoint.step} on" if checkpoint else "",
    )
    listener = TrainingListener(on_log, checkpoint, fingerprint=fingerprint, samples=len(prepared.data))
    trainer = Trainer(
        model=model,
        args=_arguments(loaded, tuning, precision=vlm.dtype, epochs=epochs, seed=seed, directory=checkpoint_directory),
        train_dataset=prepared.data,
        data_collator=partial(_collate, loaded),
        compute_loss_func=update_loss,
        callbacks=[listener],
    )
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    except DivergedError:
        shutil.rmtree(checkpoint_directory, ignore_errors=True)  # it may hold the diverged weights
        raise
    save_adapter(model, adapter_directory)
    shutil.rmtree(checkpoint_directory, ignore_errors=True)
    return TuneResult(
        updates=trainer.state.global_step,
        resumed_at=checkpoint.step if checkpoint else 0,
        samples=len(prepared.data),
        truncated=prepared.truncated,
        dropped=prepared.dropped,
        seconds=time.monotonic() - began,
        log=log_table(listener.rows),
    )


def _arguments(
    loaded: LoadedVlm, tuning: TuningParameters, *, precision: str, epochs: float, seed: int, directory: Path
) -> TrainingArguments:
    constant = "constant_with_warmup" if tuning.warmup_ratio else "constant"
    arguments = TrainingArguments(
        output_dir=str(directory),
        num_train_epochs=epochs,
        per_device_train_batch_size=tuning.batch_size,
        gradient_accumulation_steps=tuning.gradient_accumulation,
        activation_checkpointing=tuning.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=tuning.learning_rate,
        lr_scheduler_type=constant if tuning.schedule == "constant" else tuning.schedule,
        warmup_steps=tuning.warmup_ratio,  # below 1: a share of the steps
        weight_decay=tuning.weight_decay,
        max_grad_norm=GRADIENT_NORM_LIMIT,
        bf16=_computes_in_bfloat16(loaded, precision),
        use_cpu=loaded.device.type == "cpu",
        seed=seed,
        data_seed=seed,
        dataloader_num_workers=0,
        dataloader_pin_memory=loaded.device.type == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=tuning.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=tuning.checkpoint_every,
        save_total_limit=CHECKPOINTS_KEPT,
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # transformers' own way to keep torch's DataParallel out
    return arguments


def _prepare_for_training(loaded: LoadedVlm) -> None:
    model = loaded.bare_model
    model.config.get_text_config().use_cache = False  # keys and values are for generation
    if loaded.device.type == "cpu":
        # torch's fused attention has a slow backward pass on CPUs, in bfloat16 above all.
        model.set_attn_implementation({"text_config": "eager"})


def _computes_in_bfloat16(loaded: LoadedVlm, precision: str) -> bool:
    """Whether matrix products are computed in bfloat16; the adapter and its optimiser are float32 always."""
    if loaded.device.type == "cpu" and precision == "auto":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return loaded.dtype == torch.bfloat16


def _collate(loaded: LoadedVlm, samples: Sequence[EncodedSample]) -> dict[str, Any]:
    batch: dict[str, Any] = dict(collate(loaded, samples))
    if "logits_to_keep" in inspect.signature(loaded.bare_model.forward).parameters:
        batch["logits_to_keep"] = logits_needed(batch["labels"])
    return batch
