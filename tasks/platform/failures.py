"""Failures of a run: which are tried again, after which pauses, and what a person is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.platform.failure_advice import advise, may_pass
from tasks.platform.workspace import Workspace

# Pauses before another try of what may pass; drawn up to half as long again, so that many do not come back at once.
BACK_OFF_SECONDS = (2.0, 8.0, 32.0)
BACK_OFF_JITTER = 0.5


class StageFailedError(RuntimeError):
    """A stage failed for a reason that a person can do something about; the message says what."""


@contextmanager
def explained(workspace: Workspace, during: str, *, memory: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn a failure that a person can do something about into one whose message says what.

    Args:
        workspace: of the run.
        during: the stage's name, or what else is being done.
        memory: parameters to lower when memory runs out.

    Raises:
        StageFailedError: instead of such a failure; any other is raised as it is.
    """
    parameters = workspace.parameters()
    try:
        yield
    except StageFailedError:
        raise
    except Exception as error:
        advice = advise(error, during=during, parameters=parameters, memory=memory)
        if advice is None:
            raise
        raise StageFailedError(advice.message) from error


def failure_may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's question whether a failed task is worth another try."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, BaseException) and may_pass(failure)
