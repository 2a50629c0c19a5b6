"""The trainer's body: what one process does of a LoRA tune, by itself or together with others."""

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
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from components.models.device import resolve_device
from components.models.training import process_group
from components.models.training.adapter_size import CHECKPOINTS_KEPT
from components.models.training.checkpoints import newest_checkpoint, run_fingerprint
from components.models.training.listener import DivergedError, TrainingListener
from components.models.training.lora import adapter_weights, add_lora, save_adapter, trainable_parameters
from components.models.training.training_data import TrainingData, prepare_training_data
from components.models.training.training_log import TrainingLogRow, log_table
from components.models.training.update_loss import logits_needed, update_loss
from components.models.training.update_shares import UpdateShares
from components.models.vlm.collate import collate
from components.models.vlm.labels import EncodedSample, without_labels
from components.models.vlm.load import LoadedVlm, load_vlm
from components.parameters.parameters import TuningParameters, VlmParameters
from components.pool.samples import Dropped, InstructedImage

GRADIENT_NORM_LIMIT = 1.0  # as in LLaVA's and PreSel's recipes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TuneJob:
    """What is tuned on what, and where to.

    Attributes:
        samples: what to train on.
        adapter_directory: gets `adapter_model.safetensors` and `adapter_config.json`, both or none.
        vlm: the model.
        tuning: the trainer's parameters.
        epochs: passes over the samples.
        seed: of every random choice.
        pixel_limit: pixels (width x height) above which an image is refused.
        checkpoint_directory: where a killed run is continued from; removed at the end.
    """

    samples: tuple[InstructedImage, ...]
    adapter_directory: Path
    vlm: VlmParameters
    tuning: TuningParameters
    epochs: float
    seed: int
    pixel_limit: int
    checkpoint_directory: Path


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


def train(job: TuneJob, *, on_log: Callable[[TrainingLogRow], None]) -> TuneResult:
    """Tune, in every process of the group that torch.distributed knows, or alone where there is none.

    The first process alone logs, decides about checkpoints and writes.

    Args:
        job: the same in all processes.
        on_log: called in the first process alone.

    Returns:
        The same in all processes, but for the seconds.

    Raises:
        ValueError: there is no usable sample, or the parameters do not fit the model.
        DivergedError: the loss diverges.
    """
    began = time.monotonic()
    loaded = _load(job)
    prepared = prepare_training_data(loaded, job.samples, pixel_limit=job.pixel_limit)
    shares = _shares(job, samples=len(prepared.data))
    fingerprint = run_fingerprint(
        prepared.data.samples, vlm=job.vlm, tuning=job.tuning, epochs=job.epochs, seed=job.seed, device=loaded.device
    )
    checkpoint = process_group.first_decides(
        lambda: newest_checkpoint(job.checkpoint_directory, fingerprint=fingerprint)
    )
    set_seed(job.seed)
    model = add_lora(loaded, job.tuning, job.vlm)
    _prepare_for_training(loaded)
    logger.info(
        "tuning %d parameters on %d samples%s",
        trainable_parameters(model),
        len(prepared.data),
        f", from update {checkpoint.step} on" if checkpoint else "",
    )
    listener = TrainingListener(
        on_log, checkpoint, fingerprint=fingerprint, samples=len(prepared.data), epochs_after=shares.epochs_after
    )
    trainer = _SharingTrainer(
        shares,
        model=model,
        args=_arguments(loaded, job, batches_per_update=shares.batches_per_update),
        train_dataset=prepared.data,
        data_collator=partial(_collate, loaded, prepared.data),
        compute_loss_func=update_loss,
        callbacks=[listener],
    )
    trainer.remove_callback(PrinterCallback)
    if process_group.rank():
        torch.manual_seed(job.seed + process_group.rank())  # dropout of other samples is other dropout
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    except DivergedError:  # in all processes at once: the metrics are those of all
        process_group.first_decides(lambda: _remove(job.checkpoint_directory))  # it may hold the diverged weights
        raise
    process_group.first_decides(lambda: save_adapter(model, job.adapter_directory))
    process_group.first_decides(lambda: _remove(job.checkpoint_directory))
    return TuneResult(
        updates=trainer.state.global_step,
        resumed_at=checkpoint.step if checkpoint else 0,
        samples=len(prepared.data),
        truncated=prepared.truncated,
        dropped=prepared.dropped,
        seconds=time.monotonic() - began,
        log=log_table(listener.rows),
    )


class _EpochLoader(DataLoader[EncodedSample]):
    """Tells its batches which epoch it is, as the trainer asks of a loader."""

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.batch_sampler, UpdateShares)
        self.batch_sampler.set_epoch(epoch)


class _SharingTrainer(Trainer):  # type: ignore[misc]  # transformers is not typed
    """transformers' trainer, but that each process takes its share of an update.

    The trainer's own way fills the last update up with samples that were there already, which changes the adapter.
    """

    def __init__(self, shares: UpdateShares, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._shares = shares
        # The trainer wants no checkpoints of sharded weights, as their optimiser is sharded too. An adapter's is whole.
        self.args.save_only_model = False

    def get_train_dataloader(self) -> DataLoader[EncodedSample]:
        """Load the batches of this process; as they are its own, accelerate must not share them out again."""
        return _EpochLoader(
            self.train_dataset,
            batch_sampler=self._shares,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the adapter into a checkpoint, and nothing of the model."""
        self._save(output_dir, state_dict=adapter_weights(self.model))


def _shares(job: TuneJob, *, samples: int) -> UpdateShares:
    return UpdateShares(
        samples,
        batch_size=job.tuning.batch_size,
        accumulation=job.tuning.gradient_accumulation,
        seed=job.seed,
        process=process_group.rank(),
        processes=process_group.size(),
    )


def _load(job: TuneJob) -> LoadedVlm:
    """Load the model onto this process's device: all of it, or this process's shard."""
    processes = process_group.size()
    if processes == 1:
        return load_vlm(job.vlm)
    device = resolve_device(job.vlm.device, parameter="vlm.device")
    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())  # the launcher chose it
    own = job.vlm.model_copy(update={"device": str(device)})
    return load_vlm(own, shards=processes if job.tuning.shard else 1)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _arguments(loaded: LoadedVlm, job: TuneJob, *, batches_per_update: int) -> TrainingArguments:
    tuning = job.tuning
    constant = "constant_with_warmup" if tuning.warmup_ratio else "constant"
    arguments = TrainingArguments(
        output_dir=str(job.checkpoint_directory),
        num_train_epochs=job.epochs,
        per_device_train_batch_size=tuning.batch_size,
        gradient_accumulation_steps=batches_per_update,
        activation_checkpointing=tuning.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=tuning.learning_rate,
        lr_scheduler_type=constant if tuning.schedule == "constant" else tuning.schedule,
        warmup_steps=tuning.warmup_ratio,  # below 1: a share of the steps
        weight_decay=tuning.weight_decay,
        max_grad_norm=GRADIENT_NORM_LIMIT,
        bf16=_computes_in_bfloat16(loaded, job.vlm.dtype),
        use_cpu=loaded.device.type == "cpu",
        ddp_find_unused_parameters=False,  # every layer that carries LoRA takes part in every pass
        seed=job.seed,
        data_seed=job.seed,
        dataloader_num_workers=0,
        dataloader_pin_memory=loaded.device.type == "cuda",
        remove_unused_columns=False,
        label_names=["labels"],
        logging_steps=tuning.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=tuning.checkpoint_every,
        save_total_limit=CHECKPOINTS_KEPT,
        save_only_model=tuning.shard,
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


def _collate(loaded: LoadedVlm, data: TrainingData, samples: Sequence[EncodedSample]) -> dict[str, Any]:
    # A process whose share is used up still takes part in the pass that the others make, with what carries no loss.
    samples = samples or [without_labels(data[0])]
    batch: dict[str, Any] = dict(collate(loaded, samples))
    if "logits_to_keep" in inspect.signature(loaded.bare_model.forward).parameters:
        batch["logits_to_keep"] = logits_needed(batch["labels"])
    return batch
