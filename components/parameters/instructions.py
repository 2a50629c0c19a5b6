"""The parameters of what instructions are asked for (`instructions`) and of how they are bought (`purchase`)."""

from collections.abc import Collection
from datetime import date
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from components.parameters.section import Count, Device, Dollars, Seconds, Section, TemplateArguments, one_of


def _providers() -> Collection[str]:
    from components.instructions.open_provider import PROVIDERS  # they take these parameters

    return PROVIDERS


ProviderName = Annotated[str, one_of(_providers)]
StructuredOutput = Literal["json_schema", "json_object", "none"]

# Query keys by which database drivers take a secret.
_SECRET_KEYS = frozenset({"password", "passwd", "pwd", "sslpassword"})


class AnnotationFile(Section):
    """A LLaVA JSON file with conversations."""

    path: str
    image_root: str


class InstructionParameters(Section):
    """Who writes instructions, and what is asked for; all of it decides what comes."""

    provider: ProviderName
    annotations: tuple[AnnotationFile, ...]
    price_per_instruction_usd: Dollars
    prompts: str
    model: Annotated[str, Field(min_length=1)]
    revision: str | None
    template_arguments: TemplateArguments
    image_limit: Annotated[int, Field(ge=16)]
    temperature: Annotated[float, Field(ge=0, le=2)]
    max_output_tokens: Count
    structured_output: StructuredOutput
    repairs: Annotated[int, Field(ge=0, le=10)]
    ledger: str

    @field_validator("ledger")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            url = make_url(value)
        except (ArgumentError, ValueError):  # their messages may repeat the URL, and with it a password
            raise ValueError("not an SQLAlchemy URL such as sqlite:///.presel/ledger.sqlite") from None
        if url.password or any(key.lower() in _SECRET_KEYS for key in url.query):
            raise ValueError("the ledger URL holds a password; leave it out and set PGPASSWORD in the environment")
        is_file = url.drivername in ("sqlite", "sqlite+pysqlite") and url.database and ":memory:" not in url.database
        if not is_file and url.drivername not in ("postgresql", "postgresql+psycopg"):
            raise ValueError(
                "a ledger is a file (sqlite:///FILE) or in PostgreSQL (postgresql+psycopg://USER@HOST/NAME); one in "
                "memory would forget what was paid for"
            )
        return value


class TileTokens(Section):
    """An image costs `base` tokens and `tile` for each of its tiles of 512 pixels, as OpenAI's GPT-4o family counts.

    The image is first reduced to fit 2048 x 2048, then to a shorter side of 768.
    """

    base: Count
    tile: Count


class PatchTokens(Section):
    """An image costs one token per square patch, times a factor.

    OpenAI's GPT-4.1 mini family (patch 32, at most 1,536) and Qwen's models (patch 28) count so.
    """

    patch: Count
    at_most: Count
    factor: Annotated[float, Field(gt=0)]


class FixedTokens(Section):
    """Every image costs the same, as LLaVA-1.5's 576."""

    fixed: Count


class Price(Section):
    """What a model takes.

    Attributes:
        model: its name as in `instructions.model`.
        input_usd: dollars per million input tokens.
        output_usd: dollars per million output tokens.
        batch_factor: what a batch costs of that, 0.5 at OpenAI.
        image_tokens: how the model counts an image.
        as_of: the day these numbers were read.
    """

    model: str
    input_usd: Dollars
    output_usd: Dollars
    batch_factor: Annotated[float, Field(gt=0, le=1)]
    image_tokens: TileTokens | PatchTokens | FixedTokens
    as_of: date

    @field_validator("as_of", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        if isinstance(value, date):  # YAML's own dates are not among the values that DVC takes
            raise ValueError(f'put the date in quotes: as_of: "{value.isoformat()}"')
        if not isinstance(value, str):  # a number would be taken for seconds since 1970
            raise ValueError('write the date as "YYYY-MM-DD"')
        return value


class BatchParameters(Section):
    """Provider `batch`."""

    submit: bool
    poll_seconds: Seconds


class LocalParameters(Section):
    """Provider `local`."""

    batch_size: Count
    device: Device
    dtype: Literal["auto", "float32", "bfloat16"]


class PurchaseParameters(Section):
    """How instructions are bought: limits, money, the endpoint. None of it decides what an instruction says."""

    spend_at_most_usd: Dollars
    approve_above_usd: Dollars
    base_url: str
    key_variable: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
    concurrency: Annotated[int, Field(ge=1, le=1000)]
    requests_per_minute: Annotated[float, Field(gt=0)]
    tokens_per_minute: Annotated[float, Field(gt=0)]
    timeout_seconds: Seconds
    output_limit: Literal["max_completion_tokens", "max_tokens"]
    batch: BatchParameters
    local: LocalParameters
    prices: tuple[Price, ...]

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write an address such as https://api.openai.com/v1 or http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the address holds more than scheme, host and path; a key belongs in the environment")
        return value

    @field_validator("prices")
    @classmethod
    def _one_price_each(cls, value: tuple[Price, ...]) -> tuple[Price, ...]:
        names = [price.model for price in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"priced more than once: {', '.join(twice)}")
        return value
