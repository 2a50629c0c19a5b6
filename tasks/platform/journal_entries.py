"""What can be told to MLflow: one entry of the journal for each."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Operation(BaseModel):
    """Common to all.

    Attributes:
        run: id of the run in MLflow, or its identity in the journal (`local-...`), which MLflow keeps as a tag.
    """

    model_config = ConfigDict(frozen=True)

    run: str


class OpenRun(_Operation):
    """A run begins.

    Attributes:
        name: for people.
        parent: the run it is nested in.
        tags: as (name, value).
        started_ms: milliseconds since 1970.
    """

    kind: Literal["open_run"] = "open_run"
    name: str
    parent: str | None
    tags: tuple[tuple[str, str], ...]
    started_ms: int


class MetricValue(BaseModel):
    """One number.

    Attributes:
        name: as MLflow allows it.
        value: not finite is allowed.
        step: optimiser updates, or 0.
        measured_ms: milliseconds since 1970.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    name: str
    value: float
    step: int
    measured_ms: int


class LogValues(_Operation):
    """Numbers, parameters and tags; parameters and tags as (name, value)."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    kind: Literal["log_values"] = "log_values"
    metrics: tuple[MetricValue, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


class LogDataset(_Operation):
    """A data set that the run reads.

    Attributes:
        name: the artifact's path.
        digest: its version.
        source: JSON that says where it is.
        profile: JSON that says how large it is.
        context: what it is for, such as `pool` or `training`.
    """

    kind: Literal["log_dataset"] = "log_dataset"
    name: str
    digest: str
    source: str
    profile: str
    context: str


class LogFile(_Operation):
    """A file to keep with the run.

    Attributes:
        file: where it is; in the journal, a copy of its own.
    """

    kind: Literal["log_file"] = "log_file"
    file: str


RunStatus = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]


class SetStatus(_Operation):
    """A run ends, or goes on.

    Attributes:
        status: `SCHEDULED` is MLflow's word for a run that goes on later.
        at_ms: milliseconds since 1970.
    """

    kind: Literal["set_status"] = "set_status"
    status: RunStatus
    at_ms: int


class RegisterAdapter(_Operation):
    """An adapter becomes a version of a registered model, once.

    Attributes:
        model_name: of the registered model.
        adapter: folder of the adapter.
        adapter_hash: its version in DVC; an adapter that has a version keeps it.
        vlm: the base model's parameters, as JSON.
        tags: of the version, as (name, value).
    """

    kind: Literal["register_adapter"] = "register_adapter"
    model_name: str
    adapter: str
    adapter_hash: str
    vlm: str
    tags: tuple[tuple[str, str], ...]


Operation = Annotated[
    OpenRun | LogValues | LogDataset | LogFile | SetStatus | RegisterAdapter, Field(discriminator="kind")
]
OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)


def joined(operations: Sequence[LogValues]) -> LogValues:
    """Values of one run as one operation; of a tag the last word counts."""
    return LogValues(
        run=operations[0].run,
        metrics=tuple(metric for one in operations for metric in one.metrics),
        params=tuple(param for one in operations for param in one.params),
        tags=tuple(dict(tag for one in operations for tag in one.tags).items()),
    )
