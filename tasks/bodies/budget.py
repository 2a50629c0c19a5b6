"""The budget of a run, in images."""

from components.pool.manifest import read_samples
from components.selection.budget import parse_budget, resolve_budget
from tasks.platform.stage_context import StageContext

# What the stages that ask for it depend on; beside these, the manifest's samples.
BUDGET_PARAMETERS = ("budget", "instructions.price_per_instruction_usd")


def budget_of(context: StageContext) -> int:
    """Images that may carry an instruction, a reference set included."""
    return resolve_budget(
        parse_budget(context.parameters.budget),
        pool_size=read_samples(context.input("manifest")).num_rows,
        dollars_per_image=context.parameters.instructions.price_per_instruction_usd,
    )
