"""Where the heavy stages compute. It changes no result, so no stage depends on it."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from components.parameters.section import Count, Section

EngineName = Literal["local", "ray"]
ENGINES: tuple[EngineName, ...] = ("local", "ray")
Processors = Annotated[float, Field(gt=0)]


class DecodeWorkers(Section):
    """Workers that read and decode images."""

    cpus: Processors
    workers: Count | Literal["auto"]
    images: Count


class ModelWorkers(Section):
    """Workers that hold a model."""

    cpus: Processors
    gpus: Annotated[float, Field(ge=0)] | Literal["auto"]
    workers: Count | Literal["auto"]

    @field_validator("gpus")
    @classmethod
    def _whole_or_a_part_of_one(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and value > 1 and value % 1:
            raise ValueError("a part of one GPU, such as 0.5, or whole ones")
        return value


class TaskWorkers(Section):
    """Workers that compute from the vectors of a whole task."""

    cpus: Processors


class ComputeParameters(Section):
    """Where, and what a worker of each kind takes of a cluster."""

    engine: EngineName
    address: str | None
    decode: DecodeWorkers
    model: ModelWorkers
    task: TaskWorkers
    stalled_after_seconds: Annotated[float, Field(ge=10)]

    @field_validator("address")
    @classmethod
    def _of_a_cluster_around(cls, address: str | None) -> str | None:
        if address is not None and address.startswith("ray://"):
            raise ValueError(
                "a ray:// client loses its run after 30 seconds of network trouble: run presel on a machine of the "
                "cluster, with the address auto"
            )
        host, _, port = (address or "").rpartition(":")
        if address not in (None, "auto") and not (host and port.isdecimal()):
            raise ValueError("null, auto or HOST:PORT of the cluster's head, such as 10.0.0.5:6379")
        return address
