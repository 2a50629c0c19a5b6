"""The provider that the parameters name."""

from components.instructions.existing.provider import ExistingInstructions
from components.instructions.people.provider import PeopleProvider
from components.instructions.provider import InstructionProvider
from components.parameters.instructions import InstructionParameters, PurchaseParameters


def open_provider(
    parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int
) -> InstructionProvider:
    """Make the provider; nothing is read or asked yet.

    Args:
        parameters: who is asked, and what.
        purchase: how it is bought.
        pixel_limit: pixels above which an image is not decoded.

    Raises:
        UnknownPriceError: the provider is paid by the token and its model has no price.
    """
    match parameters.provider:
        case "existing":
            return ExistingInstructions(
                parameters.annotations, price_per_instruction_usd=parameters.price_per_instruction_usd
            )
        case "openai":
            # Loaded here: a run that buys nothing from an endpoint needs no client.
            from components.instructions.endpoint.provider import OpenAIProvider

            return OpenAIProvider(parameters, purchase, pixel_limit=pixel_limit)
        case "batch":
            from components.instructions.batch.provider import BatchProvider

            return BatchProvider(parameters, purchase, pixel_limit=pixel_limit)
        case "local":
            from components.instructions.local.provider import LocalProvider

            return LocalProvider(parameters, purchase, pixel_limit=pixel_limit)
        case "people":
            return PeopleProvider(parameters)
