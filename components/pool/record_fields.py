"""An entry of a record file (LLaVA JSON, JSON Lines, Parquet), checked field by field."""

import posixpath
from collections.abc import Mapping

from components.parameters.parameters import SourceParameters
from components.pool.locations import join_root
from components.pool.reasons import QuarantineReason
from components.pool.record_names import kind_of, name_record, printable, shown, text_fault
from components.pool.records import PoolRecord, RejectedRecord
from components.pool.task_rule import NoTaskError, derive_task


def parse_record(value: object, *, number: int, file: str, source: SourceParameters) -> PoolRecord | RejectedRecord:
    """Check one entry.

    Its id and image are found as `components.pool.record_names` says. One without an image but with a conversation is
    `text_only`, as 40,688 of LLaVA-665K's are.

    Args:
        value: the entry as it was decoded.
        number: which entry of the file it is, from 1.
        file: the record file.
        source: its parameters.
    """
    if not isinstance(value, Mapping):
        detail = f"record {number} is {kind_of(value)} ({shown(value)}), not an object with fields"
        return _rejected(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
    names = name_record(value, number)
    record_id, image = names.record_id, names.image

    def rejected(reason: QuarantineReason, detail: str) -> RejectedRecord:
        return _rejected(file, record_id, image, reason, detail)

    if names.text_only:
        return rejected(QuarantineReason.TEXT_ONLY, "a conversation without an image")
    if names.fault:
        return rejected(QuarantineReason.INVALID_RECORD, f"record {number}: {names.fault}")
    if "://" in image:
        detail = f"record {number}: the image {shown(image)} is an address, not a path below image_root"
        return rejected(
            QuarantineReason.INVALID_RECORD, f"{detail}; download the images, or name what comes before the path there"
        )
    uri = join_root(source.image_root, image)
    if uri is None:
        return rejected(QuarantineReason.OUTSIDE_ROOT, f"{image} leaves the image root {source.image_root}")
    try:
        task = derive_task(source.task, fields=value, path=posixpath.normpath(image))
    except NoTaskError as error:
        return rejected(QuarantineReason.INVALID_RECORD, f"record {number}: {error}")
    if text_fault(task):
        return rejected(QuarantineReason.INVALID_RECORD, f"record {number}: the task {text_fault(task)}")
    return PoolRecord(file, record_id, image, task, uri, source.image_root, source.further_roots)


def _rejected(file: str, record_id: str, image: str, reason: QuarantineReason, detail: str) -> RejectedRecord:
    return RejectedRecord(
        source=file, record_id=record_id, image=printable(image), reason=reason, detail=printable(detail)
    )
