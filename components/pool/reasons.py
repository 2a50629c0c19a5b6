"""Why a record or an image was left out: the fixed reasons, what each means, how many there are of each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import pyarrow as pa


class QuarantineReason(StrEnum):
    """The fixed reasons, as they stand in the `reason` column."""

    MISSING = "missing"
    OUTSIDE_ROOT = "outside_root"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"
    UNSUPPORTED = "unsupported"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    CHANGED = "changed"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    DUPLICATE_ID = "duplicate_id"
    INVALID_RECORD = "invalid_record"
    TEXT_ONLY = "text_only"


MEANINGS: Mapping[QuarantineReason, str] = MappingProxyType(
    {
        QuarantineReason.MISSING: "no such file",
        QuarantineReason.OUTSIDE_ROOT: "the path, or a symbolic link in it, leaves the image root",
        QuarantineReason.NOT_A_FILE: "a folder, a device or the like",
        QuarantineReason.UNREADABLE: "there, but the file system refused to read it",
        QuarantineReason.UNSUPPORTED: "not of an image type that is read",
        QuarantineReason.CORRUPT: "of an image type, but does not decode to its end",
        QuarantineReason.TOO_LARGE: "more pixels than the limit; not decoded",
        QuarantineReason.CHANGED: "the bytes are no longer those the manifest knows",
        QuarantineReason.DUPLICATE: "the same bytes as another file of the task, which is kept",
        QuarantineReason.NEAR_DUPLICATE: "looks like another image of the task, which is kept",
        QuarantineReason.DUPLICATE_ID: "the id names another image of the task already",
        QuarantineReason.INVALID_RECORD: "the record lacks something or holds something unusable",
        QuarantineReason.TEXT_ONLY: "a conversation without an image",
    }
)


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many rows carry one reason."""

    reason: str
    count: int


def count_reasons(table: pa.Table) -> tuple[ReasonCount, ...]:
    """Count the rows of a table with a `reason` column (`QUARANTINE`, `DROPPED`).

    Returns:
        One entry per reason that occurs, most frequent first, ties by name.
    """
    counts = Counter(table.column("reason").to_pylist())
    return tuple(
        ReasonCount(reason=reason, count=count)
        for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
