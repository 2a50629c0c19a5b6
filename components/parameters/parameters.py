"""`params.yaml` parsed once into frozen models; every problem is reported together.

Every key must be present: the files hold the values, this module only says what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, Field, ValidationError, create_model, field_validator, model_validator
from pydantic_core import ErrorDetails

from components.benchmark.metrics import METRICS
from components.errors import UserError
from components.instructions.spending.prices import find_price
from components.parameters.fixed import without_fixed
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.parameters.promotion import PromotionParameters
from components.parameters.recuration import RecurateParameters
from components.parameters.retention import RetentionParameters
from components.parameters.section import Count, Device, Section, TemplateArguments
from components.selection.budget import parse_budget
from components.strategies.load import load_sections
from components.strategies.names import STRATEGY_NAMES, check_strategy_name

Precision = Literal["auto", "float32", "bfloat16"]
Baseline = Literal["random", "full"]
SectionOfStrategy = TypeVar("SectionOfStrategy", bound=Section)


# The ledger's URL may hold a password, the endpoint's a key; every other value is shown in messages.
_MAY_HOLD_SECRETS = frozenset(
    {"instructions", "instructions.ledger", "purchase", "purchase.base_url", "purchase.key_variable"}
)


# A key that does not belong here may be a secret that was put in the wrong place.
_SECRET_NAME = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)


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
        return self


class SourceParameters(Section):
    """One source of records."""

    kind: str
    path: str
    image_root: str
    task: TaskRule

    @field_validator("kind")
    @classmethod
    def _has_reader(cls, kind: str) -> str:
        from components.pool.sources import READERS  # they take the parameters of a source

        if kind not in READERS:
            raise ValueError(f"{kind!r} is no kind of source; allowed: {', '.join(READERS)}")
        return kind


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
    checkpoint_every: Count
    log_every: Count


class EpochParameters(Section):
    """How long one tune lasts."""

    epochs: Annotated[float, Field(gt=0)]


class ScoreParameters(Section):
    """How the Instruction Relevance Score is computed."""

    batch_size: Count


class ClusterParameters(Section):
    """k-means per task."""

    images_per_cluster: Count
    restarts: Count


class AllocateParameters(Section):
    """How Eq. 6 is rounded."""

    rounding: Literal["exact", "paper", "released"]


class SelectParameters(Section):
    """Neighbour centrality."""

    neighbours: Count


class BenchmarkSet(Section):
    """A held-out set and how its answers are judged."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    path: str
    image_root: str
    metric: str

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"must be one of {', '.join(METRICS)}")
        return value


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

    model_name: Annotated[str, Field(min_length=1)]


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


@lru_cache
def _with_sections(strategies: tuple[str, ...]) -> type[Parameters]:  # noqa: ARG001 -- what the sections depend on
    """`Parameters` with the sections of the strategies, so that all of a file is checked together."""
    sections: dict[str, Any] = {name: (kind, ...) for name, kind in load_sections().items()}
    return create_model("Parameters", __base__=Parameters, **sections)


def parse_parameters(values: Mapping[str, object], *, origin: str) -> Parameters:
    """Check raw values and freeze them.

    Args:
        values: the YAML mapping.
        origin: where it came from, for the message.

    Returns:
        The parameters.

    Raises:
        ParameterError: unknown, missing or out-of-range keys; all of them are listed.
    """
    try:
        return _with_sections(STRATEGY_NAMES).model_validate(values)
    except ValidationError as error:
        lines = [f"{origin}: {error.error_count()} problem(s)"]
        for item in error.errors():
            where = ".".join(str(part) for part in item["loc"])
            secret = where in _MAY_HOLD_SECRETS or (
                item["type"] == "extra_forbidden" and _SECRET_NAME.search(where.rpartition(".")[2])
            )
            shown = item["type"] != "missing" and not secret
            given = f" (got {item['input']!r})" if shown and where else ""
            lines.append(f"  {where or 'all'}: {item['msg']}{given}{_meant(item)}")
        raise ParameterError("\n".join(lines)) from None


def _meant(problem: ErrorDetails) -> str:
    """The key that an unknown one may be a slip of the pen for."""
    if problem["type"] != "extra_forbidden":
        return ""
    section: Any = _with_sections(STRATEGY_NAMES)
    for part in problem["loc"][:-1]:
        known = getattr(section, "model_fields", {}).get(part)
        section = known.annotation if known is not None else None
    near = get_close_matches(str(problem["loc"][-1]), getattr(section, "model_fields", {}), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def merge_overlays(base: Path, overlays: Sequence[Path] = (), settings: Sequence[str] = ()) -> dict[str, object]:
    """Read the base file, lay the overlays over it, then the `section.key=value` settings.

    Mappings merge key by key; lists and scalars replace.

    Raises:
        ParameterError: a file is not a YAML mapping, or a setting is not `a.b=value` with a YAML value.
    """
    merged = _read_mapping(base)
    for overlay in overlays:
        merged = _merge(merged, _read_mapping(overlay))
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ParameterError(f"--set {setting!r}: write section.key=value, e.g. tuning.learning_rate=0.001")
        try:
            nested: object = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
            # The value is not repeated: it may be the ledger's URL with a password.
            problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else type(error).__name__
            raise ParameterError(f"--set {key}: its value is not YAML ({problem}); quote it") from None
        for part in reversed(key.split(".")):
            nested = {part: nested}
        assert isinstance(nested, dict)
        merged = _merge(merged, nested)
    return merged


def load_parameters(path: Path) -> Parameters:
    """Read and check one complete parameter file."""
    return parse_parameters(_read_mapping(path), origin=str(path))


def _read_mapping(path: Path) -> dict[str, object]:
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)  # in C: stages read it often
    except FileNotFoundError:
        raise ParameterError(f"no parameter file {path}") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not YAML: {error}") from None
    if not isinstance(value, dict):
        raise ParameterError(f"{path} must be a mapping of sections, got {type(value).__name__}")
    kept, problems = without_fixed(value)
    if problems:
        raise ParameterError("\n".join([f"{path}: {len(problems)} problem(s)", *problems]))
    return kept


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        present = merged.get(key)
        merged[key] = _merge(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return merged
