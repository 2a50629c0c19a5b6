"""What workers take of a cluster, and whether it has that at all: Ray itself would wait for it without a word."""

from dataclasses import dataclass
from math import floor
from typing import Any

from components.compute.ray_cluster import ClusterError
from components.parameters.compute import ComputeParameters


@dataclass(frozen=True, slots=True)
class Takes:
    """What one worker takes.

    Attributes:
        kind: the section of `compute` that says so.
        cpus: of one machine.
        gpus: of one machine, or a part of one.
    """

    kind: str
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelRoom:
    """How many workers hold a model, and what each takes."""

    takes: Takes
    workers: int


def check_room(ray: Any, takes: Takes) -> None:
    """Make sure that a machine of the cluster has room for a worker when it does nothing else.

    Raises:
        ClusterError: none has.
    """
    if not any(_workers_on(node, takes) for node in _machines(ray)):
        most = [max((node.get(kind, 0.0) for node in _machines(ray)), default=0.0) for kind in ("CPU", "GPU")]
        raise ClusterError(
            f"no machine of the cluster has room for a worker of compute.{takes.kind}, which takes {takes.cpus:g} CPUs "
            f"and {takes.gpus:g} GPUs: the most that one has are {most[0]:g} CPUs and {most[1]:g} GPUs; lower "
            f"compute.{takes.kind} or add such a machine"
        )


def room_for_models(ray: Any, parameters: ComputeParameters) -> ModelRoom:
    """How many workers may hold a model, so that those which prepare for them find room too.

    Returns:
        Where there are GPUs, a worker on each, or as many as are asked for; else workers on half the CPUs.

    Raises:
        ClusterError: the cluster lacks what is asked for.
    """
    asked, machines = parameters.model, _machines(ray)
    gpus = asked.gpus if asked.gpus != "auto" else float(any(node.get("GPU", 0) for node in machines))
    takes = Takes("model", asked.cpus, gpus)
    check_room(ray, takes)
    decode = Takes("decode", parameters.decode.cpus)
    check_room(ray, decode)
    most = sum(_workers_on(node, takes) for node in machines)
    cpus = sum(node.get("CPU", 0.0) for node in machines)
    left = floor((cpus - decode.cpus) / takes.cpus)  # these workers keep what they take
    if asked.workers == "auto":
        wanted = most if gpus else max(1, floor(cpus / 2 / takes.cpus))
        workers = min(wanted, most, left)
    else:
        workers = asked.workers
    if workers < 1 or workers > min(most, left):
        raise ClusterError(
            f"compute.model.workers is {asked.workers}, each with {takes.cpus:g} CPUs and {gpus:g} GPUs, and a worker "
            f"of compute.decode takes {decode.cpus:g} CPUs: the cluster has {cpus:g} CPUs and "
            f"{sum(node.get('GPU', 0.0) for node in machines):g} GPUs, room for {max(0, min(most, left))} with a "
            "model; lower them or add machines"
        )
    return ModelRoom(takes, workers)


def free_and_all(ray: Any) -> str:
    """What of the cluster is free now, for messages."""
    free, total = ray.available_resources(), ray.cluster_resources()
    return ", ".join(f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}s are free" for kind in ("CPU", "GPU"))


def _machines(ray: Any) -> list[dict[str, Any]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _workers_on(node: dict[str, Any], takes: Takes) -> int:
    by_cpus: int = floor(node.get("CPU", 0.0) / takes.cpus)
    return min(by_cpus, floor(node.get("GPU", 0.0) / takes.gpus)) if takes.gpus else by_cpus
