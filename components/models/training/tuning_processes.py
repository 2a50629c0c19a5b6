"""How many processes share a tune."""

import torch

from components.compute.ray_cluster import join
from components.errors import UserError
from components.models.device import resolve_device
from components.parameters.compute import ComputeParameters
from components.parameters.parameters import TuningParameters, VlmParameters


class TuningProcessesError(UserError, ValueError):
    """There are not so many processes to tune in; the message says what to change."""


def visible_gpus(vlm: VlmParameters) -> int:
    """Count the GPUs of this machine that a tune may use: 0 where it computes on the CPU.

    Args:
        vlm: section `vlm`, for the device.
    """
    on_gpu = resolve_device(vlm.device, parameter="vlm.device").type == "cuda"
    return torch.cuda.device_count() if on_gpu else 0


def cluster_gpus(vlm: VlmParameters, cluster: ComputeParameters) -> int:
    """Count the GPUs that a tune may use of a Ray cluster, which is joined for it.

    Args:
        vlm: section `vlm`, for the device.
        cluster: which it is.
    """
    total = join(cluster).cluster_resources()
    return 0 if vlm.device == "cpu" else int(total.get("GPU", 0))


def tuning_processes(tuning: TuningParameters, *, gpus: int) -> int:
    """Count the processes that a tune is shared out over.

    Args:
        tuning: section `tuning`; `processes: auto` is one for each GPU, but no more than an update has samples, and 1
            without GPUs.
        gpus: that there are; 0: it computes on CPUs.

    Returns:
        1 or more.

    Raises:
        TuningProcessesError: there are fewer GPUs than processes asked for, or one process to shard the model over.
    """
    wanted = min(max(gpus, 1), tuning.update_size) if tuning.processes == "auto" else tuning.processes
    if gpus and wanted > gpus:
        raise TuningProcessesError(
            f"tuning.processes is {wanted}, each of which takes a GPU of its own, but {gpus} are visible here; set "
            f"{gpus} or less, or auto"
        )
    if tuning.shard and wanted == 1:
        raise TuningProcessesError(
            f"tuning.shard shares the model out over several processes, but tuning.processes {tuning.processes} is one "
            "here; set tuning.shard to false, or use more GPUs"
        )
    return wanted
