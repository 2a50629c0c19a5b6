"""What an entry of a record file is called and which image it is of: one rule for every file that holds records.

Ingest, annotation files, benchmark sets and `presel hold-out` all ask here.
"""

import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from components.pool.images import SUFFIXES

# Fields that the names are made of; a reader that parses no more than it needs parses these.
NAME_FIELDS = ("id", "image", "images")
CONVERSATION_FIELDS = ("conversations", "messages")
_SHOWN = 80  # characters of an unusable value that a message repeats


@dataclass(frozen=True, slots=True)
class RecordNames:
    """Id and image of an entry.

    Attributes:
        record_id: its `id`, else the path of its image, else `#` and its number in the file.
        image: path as the entry names it; "" when it names none that can be used.
        fault: why it is not usable; "" when it is.
        text_only: the fault is that it is a conversation about no image.
    """

    record_id: str
    image: str
    fault: str
    text_only: bool = False


def name_record(fields: Mapping[str, object], number: int) -> RecordNames:
    """Find an entry's id and image.

    `image` is a path, `{"path": ...}` without bytes, or a list of one of them; `images` stands in for it. A null, an
    empty text and an empty list are no value. Whole numbers are ids as their digits, 7.0 (what tables make of 7 beside
    a null) as well.

    Args:
        fields: the entry; `NAME_FIELDS` and, to tell a conversation without an image, all others.
        number: which entry of the file it is, from 1.
    """
    given = next((fields[key] for key in ("image", "images") if not is_nothing(fields.get(key))), None)
    image, image_fault = _image_path(given, fields)
    record_id, id_fault = _identify(fields.get("id"), number, image)
    text_only = given is None and not id_fault and has_conversation(fields) and not _image_elsewhere(fields)
    return RecordNames(record_id, image, id_fault or image_fault, text_only)


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


def kind_of(value: object) -> str:
    """What a value is, for messages."""
    names = {"NoneType": "null", "str": "text", "dict": "an object", "list": "a list"}
    return names.get(type(value).__name__, type(value).__name__)


def shown(value: object) -> str:
    """A value as messages repeat it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def is_nothing(value: object) -> bool:
    """Whether a field has no value: a null, an empty text, list or object, and NaN, which tables make of a null."""
    return value is None or value in ("", [], {}) or (isinstance(value, float) and math.isnan(value))


def has_conversation(fields: Mapping[str, object]) -> bool:
    """Whether an entry says something."""
    # False: what a reader says that skips texts unread.
    return any(fields.get(key) and not is_nothing(fields[key]) for key in CONVERSATION_FIELDS)


def _identify(value: object, number: int, image: str) -> tuple[str, str]:
    if is_nothing(value):
        return image or f"#{number}", ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"#{number}", f"the id must be text or a whole number, got {kind_of(value)} {shown(value)}"
    fault = text_fault(str(value))
    return printable(str(value)), f"the id {fault}" if fault else ""


def _image_path(given: object, fields: Mapping[str, object]) -> tuple[str, str]:
    """The path, or "" and what is wrong."""
    if isinstance(given, list):
        if len(given) > 1:
            return "", f"it names {len(given)} images, a sample has one: {shown(given)}"
        given = given[0]
    if isinstance(given, Mapping):
        if not is_nothing(given.get("bytes")) or is_nothing(given.get("path")):
            return "", "the image is embedded; write it to a file, or pack the images as WebDataset shards"
        given = given["path"]
    if is_nothing(given):
        elsewhere = _image_elsewhere(fields)
        return "", f"no field image; {elsewhere}" if elsewhere else "no image"
    if not isinstance(given, str):
        return "", f"image must be one path, got {kind_of(given)} {shown(given)}"
    fault = text_fault(given)
    return ("", f"image {fault}") if fault else (given, "")


def _image_elsewhere(fields: Mapping[str, object]) -> str:
    """Where an entry without the field `image` speaks of one all the same; "" when it does not."""
    for key, value in fields.items():
        if key in (*NAME_FIELDS, *CONVERSATION_FIELDS) or is_nothing(value):
            continue
        one = value[0] if isinstance(value, list) else value
        is_path = isinstance(one, str) and posixpath.splitext(one)[1].lower() in SUFFIXES
        if is_path or any(word in str(key).lower() for word in ("image", "img", "video", "file_name", "filename")):
            return f"it has {key} {shown(value)}: call that field image"
    return ""
