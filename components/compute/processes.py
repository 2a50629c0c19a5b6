"""How many processes share the decoding of images; the results are the same for any number."""

import os

# Starting processes, each of which imports what it needs, takes seconds: fewer images are decoded sooner in line.
_FEWEST_IMAGES = 2_000
# One of the cores is for what takes the results.
_CORES_LEFT = 1
# Eight keep a GPU or a disk busy; each more only holds another copy of the libraries and further images in memory.
_MOST = 8


def decoding_processes(images: int) -> int:
    """Count the processes that are worth starting beside this one.

    Args:
        images: how many there are to decode.

    Returns:
        0, which means in line, or 2 to 8.
    """
    processes = min(usable_cores() - _CORES_LEFT, _MOST)
    # A single one would do nothing that this one cannot do as fast.
    return processes if images >= _FEWEST_IMAGES and processes > 1 else 0


def usable_cores() -> int:
    """Cores that this process may use."""
    # A container or a batch system may give this process fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
