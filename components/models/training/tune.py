"""One LoRA tune, from samples to an adapter on disk; a killed one continues at its newest checkpoint."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from components.compute.ray_engine import RayEngine
from components.models.training.launch import launch
from components.models.training.launch_on_ray import launch_on_ray
from components.models.training.train import TuneJob, TuneResult, train
from components.models.training.training_log import TrainingLogRow
from components.models.training.tuning_processes import cluster_gpus, tuning_processes, visible_gpus
from components.parameters.parameters import TuningParameters, VlmParameters
from components.pool.samples import InstructedImage


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
    cluster: RayEngine | None = None,
) -> TuneResult:
    """Tune LoRA layers on a model's language model with the mean loss per response token.

    Deterministic for a seed on a CPU: order of the samples, initial adapter and dropout derive from it. How many
    processes share an update changes the adapter by rounding alone, without dropout.

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
            one first repeats the earlier rows. Called in this process.
        cluster: the Ray cluster whose processes it is shared out over; None: those of this machine.

    Returns:
        Counts, time and log.

    Raises:
        ValueError: there is no usable sample, or the parameters do not fit the model or the machine.
        DivergedError: the loss diverges.
        WorkerDiedError: one of several processes was killed.
    """
    began = time.monotonic()
    gpus = visible_gpus(vlm) if cluster is None else cluster_gpus(vlm, cluster.parameters)
    processes = tuning_processes(tuning, gpus=gpus)
    job = TuneJob(
        samples=tuple(samples),
        adapter_directory=adapter_directory,
        vlm=vlm,
        tuning=tuning,
        epochs=epochs,
        seed=seed,
        pixel_limit=pixel_limit,
        checkpoint_directory=checkpoint_directory,
    )
    if cluster is not None and (gpus or processes > 1):
        cpus = cluster.parameters.model.cpus
        result = launch_on_ray(job, place=cluster.place(), processes=processes, cpus=cpus, gpus=gpus > 0, on_log=on_log)
    elif processes > 1:
        result = launch(job, processes=processes, on_log=on_log)
    else:
        result = train(job, on_log=on_log)
    return replace(result, seconds=time.monotonic() - began)
