"""The provider that the parameters name."""

from components.instructions.existing import ExistingInstructions
from components.instructions.provider import InstructionProvider
from components.parameters import InstructionParameters


def open_provider(parameters: InstructionParameters) -> InstructionProvider:
    """Make the provider; nothing is read or asked yet."""
    return ExistingInstructions(parameters.annotations, price_per_instruction_usd=parameters.price_per_instruction_usd)
