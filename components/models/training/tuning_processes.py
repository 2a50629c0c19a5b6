"""How many processes share a tune."""

import torch

from components.errors import UserError
from components.models.device import resolve_device
from components.parameters.parameters import TuningParameters, VlmParameters


class TuningProcessesError(UserError, ValueError):
    """This machine cannot tune in so many processes; the message says what to change."""


def tuning_processes(tuning: TuningParameters, vlm: VlmParameters) -> int:
    """Count the processes that a tune is shared out over on this machine.

    Args:
        tuning: section `tuning`; `processes: auto` is one for each visible GPU, but no more than an update has
            samples, and 1 on a CPU.
        vlm: section `vlm`, for the device.

    Returns:
        1 or more.

    Raises:
        TuningProcessesError: there are fewer GPUs than processes asked for, or one process to shard the model over.
    """
    device = resolve_device(vlm.device, parameter="vlm.device")
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
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
