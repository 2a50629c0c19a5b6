"""Failures of a run: which are tried again, after which pauses, and what a person is told."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import UserError
from components.instructions.purchase_errors import EndpointFailsError, PurchaseStoppedError
from components.parameters.parameters import Parameters
from tasks.platform.file_errors import FREE_SPACE, file_advice
from tasks.platform.workspace import Workspace

# Pauses before another try of what may pass; drawn up to half as long again, so that many do not come back at once.
BACK_OFF_SECONDS = (2.0, 8.0, 32.0)
BACK_OFF_JITTER = 0.5
FailureCause = Literal["gpu_memory", "memory", "disk", "endpoint", "remote", "tracking", "file"]
_GPU_MEMORY = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "cudaMalloc error out of memory",  # faiss
)
_MEMORY = ("can't allocate memory", "Cannot allocate memory", "std::bad_alloc")
_DISK = ("No space left on device", "Disk quota exceeded", "database or disk is full")
# Libraries that are not imported here are known by their names: a failure must not cost an import of torch.
_CONNECTION_NAMES = frozenset(
    {
        "ConnectionError",  # Python, requests, botocore
        "Timeout",  # requests
        "HTTPClientError",  # botocore: could not connect, timed out, lost the connection
        "ClientConnectionError",  # aiohttp
        "TransportError",  # httpx
        "HTTPError",  # urllib3
        "OperationalError",  # a database that is gone or locked
        "InterfaceError",
        "APIConnectionError",  # openai
        "InternalServerError",
        "NewConnectionError",
        "RemoteAwayError",  # the project's own, of the layer above
        "TrackingAwayError",
    }
)
# Errors that say the same however often one tries.
_LASTING = (
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
    AttributeError,
    ImportError,
    NotImplementedError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)
_LASTING_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EROFS, errno.ENAMETOOLONG, errno.EMFILE})
_AFTERWARDS = "Then press Retry on the run in the Prefect UI, or start it again: finished stages are not run again"


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


@dataclass(frozen=True, slots=True)
class Advice:
    """What to tell a person.

    Attributes:
        cause: what ran out or cannot be reached.
        message: what happened and what to do, for the state of the flow run.
    """

    cause: FailureCause
    message: str


def advise(error: BaseException, *, during: str, parameters: Parameters, memory: tuple[str, ...] = ()) -> Advice | None:
    """Find what a person can do about a failure.

    Args:
        error: what was raised; the errors that it came from are looked at too.
        during: the stage's name, with or without `@item`, or what else was being done.
        parameters: of the run, for the values that the message names.
        memory: those of them to lower when memory runs out, most effective first.

    Returns:
        The advice; None for an error whose own message has to do.
    """
    found = _find_cause(error)
    if found is None:
        return None
    cause, link = found
    match cause:
        case "gpu_memory" | "memory":
            what = "GPU memory" if cause == "gpu_memory" else "memory"
            text = f"{during} ran out of {what}. {_memory_advice(memory, cause, parameters)}. {_AFTERWARDS}"
        case "disk":
            text = (
                f"{during} found the disk full. {FREE_SPACE}. {_AFTERWARDS}, and this one continues from what it had "
                "written"
            )
        case "endpoint":
            text = (
                f"{during}: the endpoint {parameters.purchase.base_url} that writes instructions does not answer. See "
                "whether it is up, whether purchase.base_url is right and whether the account has credit left. "
                f"{_AFTERWARDS}, and nothing that was bought is bought again"
            )
        case "remote":
            text = (
                f"{during}: the DVC remote cannot be reached. See that the store in .dvc/config is up and that its "
                f"credentials are in the worker's environment (`dvc status --cloud` tries it). {_AFTERWARDS}"
            )
        case "tracking":
            text = (
                f"{during}: the MLflow server cannot be reached. See that the server at MLFLOW_TRACKING_URI is up and "
                f"that its credentials are in the worker's environment. {_AFTERWARDS}"
            )
        case "file":
            text = f"{during} could not use a file. {file_advice(link)}. {_AFTERWARDS}"
    return Advice(cause, f"{text}. [{_first_line(link)}]")


def may_pass(error: BaseException) -> bool:
    """Whether the same work may succeed a little later: storage, an endpoint or a server that failed in passing.

    Bad parameters, a refusal, and memory or disk that ran out do not pass by themselves.
    """
    found = _find_cause(error)
    if found is not None and found[0] in ("gpu_memory", "memory", "disk"):
        return False
    for link in _chain(error):
        if isinstance(link, PurchaseStoppedError):
            return False
        # Of these a batch service is left that does not answer, or shows its results late: nothing is lost and nothing
        # bought by looking again, and a run that waits for a batch overnight should not end for it. An endpoint that
        # answers nobody has been tried six times by then, for longer than these pauses: that is a person's.
        if isinstance(link, EndpointFailsError) or _is_named(link, _CONNECTION_NAMES):
            return True
        if isinstance(link, _LASTING):
            return False
        if isinstance(link, OSError):
            return link.errno not in _LASTING_NUMBERS
    return False


def _find_cause(error: BaseException) -> tuple[FailureCause, BaseException] | None:
    """What ran out or could not be reached, and which of the errors says so."""
    chain = list(_chain(error))
    for link in chain:
        if _says(link, _GPU_MEMORY) or _is_named(link, {"OutOfMemoryError"}):
            return "gpu_memory", link
        if isinstance(link, MemoryError) or _number(link) == errno.ENOMEM or _says(link, _MEMORY):
            return "memory", link
        if _number(link) in (errno.ENOSPC, errno.EDQUOT) or _says(link, _DISK):
            return "disk", link
    for link in chain:
        if isinstance(link, EndpointFailsError):
            return "endpoint", link
        if _is_named(link, {"RemoteAwayError"}):
            return "remote", link
        if _is_named(link, {"TrackingAwayError"}):
            return "tracking", link
    for link in chain:
        if isinstance(link, UserError):  # it says by itself what to do
            return None
        if file_advice(link):
            return "file", link
    return None


def _memory_advice(memory: tuple[str, ...], cause: FailureCause, parameters: Parameters) -> str:
    instead = "; or end what else uses the GPU" if cause == "gpu_memory" else ""
    if not memory:
        return "Run it on a machine with more memory" + instead
    lower = " or ".join(f"{name} (now {_value(parameters, name)})" for name in memory)
    text = f"Lower {lower} in params.yaml or in the run's parameter file"
    if "tuning.batch_size" in memory:
        text += (
            "; tuning.gradient_accumulation raised by the same factor keeps the optimiser's batch as it is, and "
            f"tuning.gradient_checkpointing: true (now {str(parameters.tuning.gradient_checkpointing).lower()}) trades "
            "time for memory"
        )
    return text + instead


def _value(parameters: Parameters, path: str) -> object:
    found: object = parameters
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it was raised from."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    # A ValueError quotes what a person gave, which may say anything.
    return not isinstance(error, ValueError) and any(text in str(error) for text in texts)


def _is_named(error: BaseException, names: frozenset[str] | set[str]) -> bool:
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__
