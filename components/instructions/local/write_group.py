"""What a worker of provider `local` does: load the model, and write one group after the other."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.instructions.local.prompt import LocalPrompt
from components.instructions.reply import Reply, SendFailure
from components.parameters.instructions import InstructionParameters, LocalParameters

# torch is imported where the model is loaded, which may be another process than the one that buys.
if TYPE_CHECKING:
    from components.instructions.local.writer import LocalWriter

_LOG = logging.getLogger(__name__)

MEMORY_SHORT = "out_of_memory"


def load_writer(parameters: InstructionParameters, local: LocalParameters, *, model: str) -> "LocalWriter":
    """Load the model.

    Args:
        parameters: which, and how much it writes.
        local: where.
        model: what it is called in the ledger.

    Raises:
        LocalModelError: it cannot be loaded.
    """
    from components.instructions.local.writer import open_writer

    return open_writer(parameters, local, model=model)


def write_group(writer: "LocalWriter", prompts: Sequence[LocalPrompt]) -> list[Reply | SendFailure]:
    """Have the model write; where it fails with a group, with smaller ones, so that one does not stop the others.

    Args:
        writer: the loaded model.
        prompts: any number.

    Returns:
        For each the reply, or why there is none.
    """
    from components.instructions.local.writer import MemoryShortError

    try:
        written = writer.write(prompts)
    except MemoryShortError as error:
        smaller = (len(prompts) + 1) // 2
        failure = SendFailure("rejected", MEMORY_SHORT, str(error))
    except (RuntimeError, ValueError, IndexError) as error:
        smaller = 1
        failure = SendFailure("rejected", "model_failed", f"{type(error).__name__}: {error}")
    else:
        return [one if isinstance(one, Reply) else SendFailure("final", one.reason, one.detail) for one in written]
    # Out here nobody holds the error any more, and with it what lay in memory when it was raised.
    if len(prompts) > 1:
        groups = [prompts[start : start + smaller] for start in range(0, len(prompts), smaller)]
        return [reply for group in groups for reply in write_group(writer, group)]
    _LOG.warning("the model failed with %s: %s", prompts[0].identified.request.sample_id, failure.detail)
    return [failure]
