"""What the readers of the sources yield."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.errors import UserError
from components.parameters.parameters import SourceParameters
from components.pool.reasons import QuarantineReason
from components.pool.record_names import printable


class SourceError(UserError, ValueError):
    """A whole source cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """One usable entry of a source; whether its image is usable is not known yet.

    Attributes:
        source: file or folder that holds the entry.
        record_id: its id, or one derived from where its image is.
        image: the image as the entry names it, for messages.
        task: the task.
        uri: where the image is (`components.pool.locations`).
        root: folder that the image must not leave; None for a member of a tar shard, which cannot.
        further_roots: folders that links below the root may lead to.
    """

    source: str
    record_id: str
    image: str
    task: str
    uri: str
    root: str | None
    further_roots: tuple[str, ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        """The folders that the image must not leave."""
        return () if self.root is None else (self.root, *self.further_roots)


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """An entry that is left out, and why: a row of the quarantine."""

    source: str
    record_id: str
    image: str
    reason: QuarantineReason
    detail: str


@dataclass(frozen=True, slots=True)
class Reader:
    """A source format: all that the project knows of it.

    Attributes:
        records: yields the entries of a source in their order; raises SourceError where it cannot be used as a whole.
        snapshot: describes what `records` would read, as JSON values that change when it may have changed.
        needs_image_root: whether the source's image_root must be a folder before records are read.
    """

    records: Callable[[SourceParameters], Iterator[PoolRecord | RejectedRecord]]
    snapshot: Callable[[SourceParameters], dict[str, object]]
    needs_image_root: bool


def broken_file(file: str, detail: str) -> RejectedRecord:
    """The row of a file that ends early or is damaged, for the records of it that are lost.

    Args:
        file: which.
        detail: where it broke.
    """
    return RejectedRecord(file, "", file, QuarantineReason.CORRUPT, printable(detail))


def is_broken_file(entry: PoolRecord | RejectedRecord) -> bool:
    """Whether an entry stands for a file that breaks off, and not for a record."""
    return isinstance(entry, RejectedRecord) and not entry.record_id


def reject(record: PoolRecord, reason: QuarantineReason, detail: str) -> RejectedRecord:
    """Turn a record away."""
    return RejectedRecord(
        source=record.source, record_id=record.record_id, image=record.image, reason=reason, detail=detail
    )
