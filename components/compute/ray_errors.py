"""Errors on their way from a worker: they arrive as themselves, with what they came from."""

import pickle
import traceback
from dataclasses import dataclass
from itertools import pairwise


class WorkerFailedError(RuntimeError):
    """An error of a worker that cannot be sent as it is; the message holds its class and text."""


@dataclass(frozen=True, slots=True)
class SentError:
    """An error and what it was raised from, the last first.

    Attributes:
        errors: each pickled: class, arguments and attributes. `pickle` alone would call the class with the arguments of
            the message, which classes with a constructor of their own do not take.
        where: the traceback as text.
    """

    errors: tuple[bytes, ...]
    where: str


def pack_error(error: BaseException) -> SentError:
    """Make an error fit to be sent."""
    chain: list[bytes] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 10:  # a chain may close
        chain.append(_pickled(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return SentError(tuple(chain), "".join(traceback.format_exception(error)))


def unpack_error(sent: SentError) -> BaseException:
    """The error again, of its own class, with a note of where it was raised."""
    errors: list[BaseException] = []
    for one in sent.errors:
        kind, arguments, state = pickle.loads(one)  # noqa: S301 -- a worker of this run wrote it
        error: BaseException = kind.__new__(kind, *arguments)
        error.__dict__.update(state)
        errors.append(error)
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    errors[0].add_note(f"in a worker:\n{sent.where}")
    return errors[0]


def _pickled(error: BaseException) -> bytes:
    kind, arguments = type(error), error.__reduce__()[1]  # of an OSError with its file, which `args` lacks
    state = {key: value for key, value in error.__dict__.items() if key != "__notes__"}
    try:
        packed = pickle.dumps((kind, arguments, state))
        unpack_error(SentError((packed,), ""))
    except Exception:  # noqa: BLE001 -- whatever another library's class does when it is pickled
        return pickle.dumps((WorkerFailedError, (f"{kind.__name__}: {error}",), {}))
    return packed
