"""The providers there are: the one place that lists them, with what sets each apart for everybody else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from components.compute.engine import Engine
from components.instructions.provider import InstructionProvider
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.parameters.parameters import SourceParameters


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider finds around it.

    Attributes:
        pixel_limit: pixels above which an image is not decoded.
        sources: the pool's, whose rules say which task a record is of.
        engine: where models of the project's own are run.
    """

    pixel_limit: int
    sources: tuple[SourceParameters, ...]
    engine: Engine


# Parameters, how it is bought, what is around it -> the provider.
OpenProvider = Callable[[InstructionParameters, PurchaseParameters, Surroundings], InstructionProvider]


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A provider, before it is made.

    Attributes:
        open: makes it. It imports the provider when it is called: a run that buys nothing needs no client and no model.
        paid_by_token: its model must be in `purchase.prices`; else an instruction is booked at
            `instructions.price_per_instruction_usd`.
        in_batches: it takes the batch price, and takes over batches of purchases that ended.
        takes: what asking it takes a share of; None: it asks nobody.
        writes: it can obtain an instruction that is not there yet.
        loads_model: its model is a folder or an id of the Hub, loaded here.
    """

    open: OpenProvider
    paid_by_token: bool = False
    in_batches: bool = False
    takes: Literal["api", "gpu"] | None = None
    writes: bool = True
    loads_model: bool = False


def _existing(
    parameters: InstructionParameters, _purchase: PurchaseParameters, around: Surroundings
) -> InstructionProvider:
    from components.instructions.existing.provider import ExistingInstructions

    return ExistingInstructions(
        parameters.annotations, around.sources, price_per_instruction_usd=parameters.price_per_instruction_usd
    )


def _openai(
    parameters: InstructionParameters, purchase: PurchaseParameters, around: Surroundings
) -> InstructionProvider:
    from components.instructions.endpoint.provider import openai_provider

    return openai_provider(parameters, purchase, pixel_limit=around.pixel_limit)


def _batch(
    parameters: InstructionParameters, purchase: PurchaseParameters, around: Surroundings
) -> InstructionProvider:
    from components.instructions.batch.provider import batch_provider

    return batch_provider(parameters, purchase, pixel_limit=around.pixel_limit)


def _local(
    parameters: InstructionParameters, purchase: PurchaseParameters, around: Surroundings
) -> InstructionProvider:
    from components.instructions.local.provider import LocalProvider

    return LocalProvider(parameters, purchase, pixel_limit=around.pixel_limit, engine=around.engine)


def _people(
    parameters: InstructionParameters, _purchase: PurchaseParameters, _around: Surroundings
) -> InstructionProvider:
    from components.instructions.people.provider import PeopleProvider

    return PeopleProvider(parameters)


PROVIDERS: dict[str, ProviderKind] = {
    "existing": ProviderKind(_existing, writes=False),
    "openai": ProviderKind(_openai, paid_by_token=True, takes="api"),
    "batch": ProviderKind(_batch, paid_by_token=True, in_batches=True, takes="api"),
    "local": ProviderKind(_local, paid_by_token=True, takes="gpu", loads_model=True),
    "people": ProviderKind(_people),
}


def open_provider(
    parameters: InstructionParameters,
    purchase: PurchaseParameters,
    *,
    pixel_limit: int,
    sources: Sequence[SourceParameters] = (),
    engine: Engine,
) -> InstructionProvider:
    """Make the provider that the parameters name; nothing is read or asked yet.

    Args:
        parameters: who is asked, and what.
        purchase: how it is bought.
        pixel_limit: pixels above which an image is not decoded.
        sources: the pool's, whose rules say which task a record is of; none: records are not told apart by task.
        engine: where models of the project's own are run.

    Raises:
        UnknownPriceError: the provider is paid by the token and its model has no price.
    """
    return PROVIDERS[parameters.provider].open(parameters, purchase, Surroundings(pixel_limit, tuple(sources), engine))
