"""Why a record or an image was left out: the fixed reasons, and how many there are of each."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class QuarantineReason(StrEnum):
    """The fixed reasons, as they stand in the `reason` column."""

    MISSING = "missing"  # no such file
    OUTSIDE_ROOT = "outside_root"  # the path, or a symbolic link in it, leaves the image root
    NOT_A_FILE = "not_a_file"  # a folder, a device or the like
    UNREADABLE = "unreadable"  # there, but the file system refused to read it
    UNSUPPORTED = "unsupported"  # not of an image type that is read
    CORRUPT = "corrupt"  # of an image type, but does not decode to its end
    TOO_LARGE = "too_large"  # more pixels than the limit; not decoded
    EXCEEDS_CONTEXT = "exceeds_context"  # leaves no token of the context of the model to tune for an instruction
    REFUSED_BY_MODEL = "refused_by_model"  # the processor of the model to tune does not take it, for its shape
    DECODER_DIED = "decoder_died"  # ends whatever process decodes it
    CHANGED = "changed"  # the bytes are no longer those the manifest knows
    DUPLICATE = "duplicate"  # the same bytes as another file of the task, which is kept
    NEAR_DUPLICATE = "near_duplicate"  # looks like another image of the task, which is kept
    DUPLICATE_ID = "duplicate_id"  # the id names another image of the task already
    INVALID_RECORD = "invalid_record"  # the record lacks something or holds something unusable
    TEXT_ONLY = "text_only"  # a conversation without an image


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
