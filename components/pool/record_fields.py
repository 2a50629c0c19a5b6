"""An entry of a record file (LLaVA JSON, JSON Lines, Parquet), checked field by field."""

import posixpath
from collections.abc import Mapping

from components.parameters.parameters import SourceParameters
from components.pool.locations import join_root
from components.pool.reasons import QuarantineReason
from components.pool.records import PoolRecord, RejectedRecord
from components.pool.task_rule import NoTaskError, derive_task

_SHOWN = 80  # characters of an unusable value that a message repeats


def parse_record(value: object, *, number: int, file: str, source: SourceParameters) -> PoolRecord | RejectedRecord:
    """Check one entry.

    An entry without an id gets the path of its image as its id. One without an image but with a conversation is
    `text_only`, as 40,688 of LLaVA-665K's are.

    Args:
        value: the entry as it was decoded.
        number: which entry of the file it is, from 1.
        file: the record file.
        source: its parameters.
    """
    if not isinstance(value, Mapping):
        detail = f"record {number} is {_kind(value)} ({_shown(value)}), not an object with fields"
        return _rejected(file, f"#{number}", "", QuarantineReason.INVALID_RECORD, detail)
    image = value.get("image")
    record_id, id_fault = _identify(value.get("id"), number, image)
    shown_image = printable(image) if isinstance(image, str) else ""
    fault = id_fault or _image_fault(image)
    if fault:
        text_only = image is None and not id_fault and value.get("conversations") and "video" not in value
        reason = QuarantineReason.TEXT_ONLY if text_only else QuarantineReason.INVALID_RECORD
        detail = "a conversation without an image" if text_only else f"record {number}: {fault}"
        return _rejected(file, record_id, shown_image, reason, detail)
    assert isinstance(image, str)  # _image_fault
    uri = join_root(source.image_root, image)
    if uri is None:
        detail = f"{image} leaves the image root {source.image_root}"
        return _rejected(file, record_id, shown_image, QuarantineReason.OUTSIDE_ROOT, detail)
    try:
        task = derive_task(source.task, fields=value, path=posixpath.normpath(image))
    except NoTaskError as error:
        detail = f"record {number}: {error}"
        return _rejected(file, record_id, shown_image, QuarantineReason.INVALID_RECORD, detail)
    if text_fault(task):
        detail = f"record {number}: the task {text_fault(task)}"
        return _rejected(file, record_id, shown_image, QuarantineReason.INVALID_RECORD, detail)
    return PoolRecord(file, record_id, image, task, uri, source.image_root)


def text_fault(text: str) -> str:
    """What keeps a text from being a name in a table or a path; "" when nothing does."""
    if "\0" in text:
        return "holds a zero byte"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return f"is not valid Unicode: {printable(text)}"
    return ""


def printable(text: str) -> str:
    """The text with what UTF-8 cannot hold written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _identify(value: object, number: int, image: object) -> tuple[str, str]:
    if value is None or value == "":
        usable = isinstance(image, str) and image and not text_fault(image)
        return (str(image) if usable else f"#{number}"), ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"#{number}", f"the id must be text or a whole number, got {_kind(value)} {_shown(value)}"
    fault = text_fault(str(value))
    return printable(str(value)), f"the id {fault}" if fault else ""


def _image_fault(image: object) -> str:
    if image is None:
        return "no image"
    if isinstance(image, Mapping):
        return "the image is embedded; write it to a file, or pack the images as WebDataset shards"
    if not isinstance(image, str):
        return f"image must be one path, got {_kind(image)} {_shown(image)}"
    if not image:
        return "image is empty"
    fault = text_fault(image)
    return f"image {fault}" if fault else ""


def _rejected(file: str, record_id: str, image: str, reason: QuarantineReason, detail: str) -> RejectedRecord:
    return RejectedRecord(source=file, record_id=record_id, image=image, reason=reason, detail=printable(detail))


def _kind(value: object) -> str:
    return {"NoneType": "null", "str": "text", "dict": "an object"}.get(type(value).__name__, type(value).__name__)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
