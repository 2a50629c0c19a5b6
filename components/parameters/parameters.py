"""The sections of `params.yaml` as frozen models; `components/parameters/reading.py` reads files into them.

Every key must be present: the files hold the values, this module only says what is allowed.
"""

import re
from collections.abc import Collection
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from components.benchmark.metrics import METRICS
from components.errors import UserError
from components.instructions.spending.prices import find_price
from components.parameters.compute import ComputeParameters
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.parameters.section import Count, Device, Section, TemplateArguments, one_of
from components.selection.budget import parse_budget
from components.strategies.names import check_strategy_name

Precision = Literal["auto", "float32", "bfloat16"]
Baseline = Literal["random", "full"]
SectionOfStrategy = TypeVar("SectionOfStrategy", bound=Section)


class ParameterError(UserError, ValueError):
    """The parameters are not usable; the message lists every problem and where it is."""


class TaskRule(Section):
    """How a record's task is found: exactly one of the four."""

    field: str | None = None
    prefix: Literal[True] | None = None
    pattern: str | None = None
    constant: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "TaskRule":
        given = [name for name in ("field", "prefix", "pattern", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of field, prefix, pattern, constant; got {given or 'none'}")
        if self.pattern is not None and "(?P<task>" not in self.pattern:
            raise ValueError(f"pattern {self.pattern!r} has no group (?P<task>...)")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except (re.error, OverflowError, RecursionError) as error:  # a{99999999999}, ten thousand groups
                raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from None
        return self


def _kinds_of_source() -> Collection[str]:
    from components.pool.sources import READERS  # they take the parameters of a source

    return READERS


class SourceParameters(Section):
    """One source of records."""

    kind: Annotated[str, one_of(_kinds_of_source)]
    path: str
    image_root: str
    further_roots: tuple[str, ...] = ()
    task: TaskRule


class IngestParameters(Section):
    """How images are validated."""

    pixel_limit: Count
    near_duplicate_bits: Annotated[int, Field(ge=-1, le=32)]
    keep_near_duplicates: bool


class EncoderParameters(Section):
    """The model whose [CLS] vectors stand for the images."""

    model: str
    revision: str | None
    batch_size: Count
    device: Device
    dtype: Precision


class VlmParameters(Section):
    """The vision-language model that is tuned."""

    model: str
    revision: str | None
    context_length: Annotated[int, Field(ge=32)]
    max_pixels: Annotated[int, Field(ge=784)] | None
    template_arguments: TemplateArguments
    device: Device
    dtype: Precision


class ReferenceParameters(Section):
    """The reference set."""

    share: Annotated[float, Field(gt=0, lt=1)]


# Of `tuning`: who computes a tune changes its adapter by no more than rounding does.
WHO_TUNES = frozenset({"processes", "shard"})


class TuningParameters(Section):
    """The LoRA trainer."""

    lora_rank: Count
    lora_alpha: Annotated[float, Field(gt=0)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)]
    target_modules: Literal["all-linear"] | tuple[str, ...]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["cosine", "linear", "constant"]
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Count
    gradient_accumulation: Count
    gradient_checkpointing: bool
    processes: Literal["auto"] | Count
    shard: bool
    checkpoint_every: Count
    log_every: Count

    @property
    def update_size(self) -> int:
        """Samples of an optimiser update, of all processes together."""
        return self.batch_size * self.gradient_accumulation

    @model_validator(mode="after")
    def _work_for_all(self) -> "TuningParameters":
        if self.processes != "auto" and self.processes > self.update_size:
            raise ValueError(
                f"processes is {self.processes}, but only {self.update_size} samples (batch_size {self.batch_size} x "
                f"gradient_accumulation {self.gradient_accumulation}) are there to share; {self.update_size} or less "
                "is allowed, or auto"
            )
        return self


class EpochParameters(Section):
    """How long one tune lasts."""

    epochs: Annotated[float, Field(gt=0, le=10_000)]


class ScoreParameters(Section):
    """How the Instruction Relevance Score is computed."""

    batch_size: Count


class ClusterParameters(Section):
    """k-means per task."""

    images_per_cluster: Count


class AllocateParameters(Section):
    """How Eq. 6 is rounded."""

    rounding: Literal["exact", "paper", "released"]


class SelectParameters(Section):
    """Neighbour centrality."""

    neighbours: Count


class RecurateParameters(Section):
    """When what an earlier curation computed is no longer good enough."""

    retune_share: Annotated[float, Field(ge=0)]
    drift_ratio: Annotated[float, Field(ge=1)]
    recluster_growth: Annotated[float, Field(gt=1)]


class BenchmarkSet(Section):
    """A held-out set and how its answers are judged."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]*$", max_length=100)]
    path: str
    image_root: str
    further_roots: tuple[str, ...] = ()
    metric: Annotated[str, one_of(lambda: METRICS)]

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders that its images must not leave."""
        return (self.image_root, *self.further_roots)


class BenchmarkParameters(Section):
    """The benchmark."""

    batch_size: Count
    max_new_tokens: Count
    sets: tuple[BenchmarkSet, ...]

    @field_validator("sets")
    @classmethod
    def _distinct_names(cls, value: tuple[BenchmarkSet, ...]) -> tuple[BenchmarkSet, ...]:
        names = [item.name for item in value]
        if len(set(names)) != len(names):
            raise ValueError(f"benchmark set names must differ; got {names}")
        return value


class RegistryParameters(Section):
    """The MLflow model registry."""

    model_name: Annotated[str, Field(max_length=256)]

    @field_validator("model_name")
    @classmethod
    def _taken_by_mlflow(cls, value: str) -> str:
        # Said here, and not when a model that was tuned for hours is registered.
        if not value.strip() or value in (".", "..") or any(mark in value for mark in "/:%\n"):
            raise ValueError("MLflow takes a name without / : % and line ends, such as my-model")
        return value


class PromotionParameters(Section):
    """When a challenger becomes champion."""

    automatic: bool
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    tolerated_loss: Annotated[float, Field(ge=0, le=1)]


class RetentionParameters(Section):
    """How long what no registered model needs is kept."""

    days: Annotated[float, Field(ge=0)]
    runs: Count


class ReportParameters(Section):
    """How much the report shows."""

    grid_images: Count


class VersioningParameters(Section):
    """What happens to the versions of a run at its end."""

    push_to_remote: bool
    commit_to_git: bool


class Parameters(Section):
    """All of `params.yaml`; the sections of single strategies are reached by `section`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    strategy: Annotated[str, AfterValidator(check_strategy_name)]
    sources: Annotated[tuple[SourceParameters, ...], Field(min_length=1)]
    ingest: IngestParameters
    encoder: EncoderParameters
    vlm: VlmParameters
    budget: str | int | float
    reference: ReferenceParameters
    tuning: TuningParameters
    reference_tune: EpochParameters
    final_tune: EpochParameters
    score: ScoreParameters
    cluster: ClusterParameters
    allocate: AllocateParameters
    select: SelectParameters
    recurate: RecurateParameters
    instructions: InstructionParameters
    purchase: PurchaseParameters
    baselines: tuple[Baseline, ...]
    benchmark: BenchmarkParameters
    registry: RegistryParameters
    promotion: PromotionParameters
    retention: RetentionParameters
    report: ReportParameters
    versioning: VersioningParameters
    compute: ComputeParameters

    @model_validator(mode="after")
    def _priced_model(self) -> "Parameters":
        # Said here, and not when the first instruction is bought, hours of computing later.
        from components.instructions.open_provider import PROVIDERS

        if PROVIDERS[self.instructions.provider].paid_by_token:
            find_price(self.purchase.prices, self.instructions.model)
        return self

    @field_validator("vlm")
    @classmethod
    def _tunable_device(cls, vlm: VlmParameters) -> VlmParameters:
        # Said here, and not when the model is tuned, on instructions that were bought.
        number = vlm.device.partition(":")[2]
        if number.strip("0"):
            raise ValueError(
                f"vlm.device {vlm.device!r}: tuning uses the first visible GPU; set CUDA_VISIBLE_DEVICES={number} in "
                "the environment and vlm.device to cuda"
            )
        return vlm

    @field_validator("baselines")
    @classmethod
    def _distinct_baselines(cls, value: tuple[Baseline, ...]) -> tuple[Baseline, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"each control is named once; got {list(value)}")
        return value

    @field_validator("budget", mode="before")
    @classmethod
    def _readable_budget(cls, value: object) -> object:
        if isinstance(value, str | int | float):  # before pydantic turns true into 1
            parse_budget(value)
        return value

    def section(self, kind: type[SectionOfStrategy]) -> SectionOfStrategy:
        """The section of a strategy, by the class that describes it."""
        (found,) = [value for _, value in self if type(value) is kind]
        return found
