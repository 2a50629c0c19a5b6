"""Reads what people have written: an export of Label Studio (JSON, JSON-MIN) or the table."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import UserError
from components.instructions.people.files import TABLE_FILE, text_of_cell, turn_of_field
from components.pool.json_array import JsonArrayError, JsonFault, salvage_json_records
from components.pool.samples import Turn

_DELIMITERS = (",", ";", "\t")  # spreadsheets save "CSV" with what their language uses
_LONGEST_AUTHOR = 200
_LABEL_STUDIO_COLUMN = "annotation_id"  # of a table that Label Studio has exported
# A quote that is not closed makes the rows after it part of its cell.
_SWALLOWED_ROW = re.compile(r"\n.*[0-9a-f]{64}")
_IDENTITY = re.compile(r"[0-9a-f]{64}")  # of a request


class WrittenFileError(UserError, ValueError):
    """A file cannot be read as something that people have written."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says about one request.

    Attributes:
        where: in the file, for a person: `row 3`, `task 7, annotation 2`.
        request_id: as it stands there; empty: none.
        turns: without outer blanks; one of the two texts of a turn may be empty. No turns: nothing was written.
        author: who wrote it, if the file says so; else empty.
        note: why nothing was written, if the file says so; else empty.
        fault: why it cannot be read; it has no turns then.
    """

    where: str
    request_id: str
    turns: tuple[Turn, ...]
    author: str = ""
    note: str = ""
    fault: str = ""


def read_written(file: Path) -> tuple[Written, ...]:
    """Read a file that people give back.

    Args:
        file: Label Studio's export as JSON or JSON-MIN, or the CSV table.

    Returns:
        One entry per annotation (one for a task without any) or row, in the file's order; one that cannot be read, and
        the place where the file breaks off, is an entry with a fault.

    Raises:
        WrittenFileError: it is none of these.
    """
    data = _bytes(file)
    if data.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{"):
        return tuple(_from_label_studio(data, file))
    # Bytes that are no UTF-8 are no text when their row is checked; the other rows are what they are.
    return tuple(_from_table(data.decode("utf-8-sig", errors="surrogateescape"), file))


def _bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WrittenFileError(f"{file} cannot be read: {error.strerror}") from None
    if data.startswith(b"PK"):
        raise WrittenFileError(f"{file} is a spreadsheet's own format; save it as CSV UTF-8")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise WrittenFileError(f"{file} is not UTF-8; save it as CSV UTF-8, or export it from Label Studio")
    return data


def _neither(file: Path, why: str) -> WrittenFileError:
    return WrittenFileError(
        f"{file} is neither an export of Label Studio (JSON or JSON-MIN) nor a table like {TABLE_FILE}: {why}"
    )


def _from_table(text: str, file: Path) -> Iterator[Written]:
    # Lines end in LF, CR LF, or, from a Mac's spreadsheet, CR; in a cell all three are one.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = list(io.StringIO(text, newline="\n"))
    try:
        delimiter = next((one for one in _DELIMITERS if "request_id" in _header(lines, one)), None)
    except csv.Error as error:
        raise _neither(file, f"its first row cannot be read: {error}") from None
    if delimiter is None:
        raise _neither(file, "its first row names no column request_id")
    names = _header(lines, delimiter)
    if not any(turn_of_field(name) for name in names):
        raise _neither(file, "it has no columns question_1, response_1, ...")
    read = [name for name in names if turn_of_field(name) or name == "request_id"]
    twice = {name for name in read if read.count(name) > 1}
    if twice:
        raise _neither(file, f"it has several columns {', '.join(sorted(twice))}")
    rows = list(_rows(lines[1:], delimiter))
    for number, row in enumerate(rows, start=2):
        is_cut = number == len(rows) + 1 and not text.endswith("\n")
        if isinstance(row, csv.Error) or any(cell.strip() for cell in row):
            yield _row(row, names, f"row {number}", is_cut=is_cut)


def _header(lines: Sequence[str], delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader(lines[:1], delimiter=delimiter), [])]


def _rows(lines: Sequence[str], delimiter: str) -> Iterator[list[str] | csv.Error]:
    """The rows; of one that cannot be read the error, and then the next that names a request."""
    start = 0
    while start < len(lines):
        reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
        begins = start
        try:
            for row in reader:
                if any(_SWALLOWED_ROW.search(cell) for cell in row):
                    raise csv.Error("a quote is not closed")
                yield row
                begins = start + reader.line_num
            return
        except csv.Error as error:
            yield error
            # Its other lines, and rows that a quote left open made part of it, are told apart by who is asked.
            start = next((line for line in range(begins + 1, len(lines)) if _IDENTITY.search(lines[line])), len(lines))


def _row(row: Sequence[str] | csv.Error, names: Sequence[str], where: str, *, is_cut: bool) -> Written:
    if isinstance(row, csv.Error):
        return Written(where, "", (), fault=f"{row}; a text with a quote or line break must be quoted")
    cells = {name: text_of_cell(cell) for name, cell in zip(names, row, strict=False)}
    request_id = cells.get("request_id", "").strip()
    if any(cell.strip() for cell in row[len(names) :]):
        fault = f"it has {len(row)} cells for {len(names)} columns; a text with a comma must be quoted"
        return Written(where, request_id, (), fault=fault)
    if is_cut and len(row) < len(names):
        return Written(where, request_id, (), fault=f"the file ends in it, after {len(row)} of {len(names)} cells")
    texts = {name: _clean(cell) for name, cell in cells.items() if turn_of_field(name)}
    if _LABEL_STUDIO_COLUMN in names and any(_is_json(text) for text in texts.values()):
        fault = "Label Studio writes several texts of a field as JSON into a table; export it as JSON"
        return Written(where, request_id, (), fault=fault)
    return Written(where, request_id, _turns(texts), _author(cells.get("annotator", "")))


def _is_json(text: str) -> bool:
    """Whether a text is a JSON list or object."""
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


def _from_label_studio(data: bytes, file: Path) -> Iterator[Written]:
    try:
        tasks = list(salvage_json_records(io.BytesIO(data).read))
    except JsonArrayError as error:
        raise _neither(file, f"it is not a list of tasks: it {error}") from None
    known = [_data(task) for task in tasks if isinstance(task, dict)]
    if tasks and not known:
        raise _neither(file, "it is not a list of tasks")
    if tasks and not any("request_id" in one for one in known):
        raise _neither(file, "not one of its tasks has a request_id")
    for number, task in enumerate(tasks, start=1):
        where = f"task {number}"
        if isinstance(task, JsonFault):
            yield Written(where, "", (), fault=f"the file {task.detail}")
        elif isinstance(task, dict):
            yield from _task(task, where)
        else:
            yield Written(where, "", (), fault=f"{str(task)[:80]!r} stands where a task was expected")


def _data(task: Mapping[str, object]) -> Mapping[str, object]:
    """The task as it was imported; JSON-MIN puts the annotation beside it."""
    data = task.get("data")
    return data if isinstance(data, dict) else task


def _task(task: Mapping[str, object], where: str) -> Iterator[Written]:
    request_id = str(_data(task).get("request_id", "")).strip()
    if "data" not in task:
        yield _annotation(where, request_id, {"result": _as_results(task), "completed_by": task.get("annotator")})
        return
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list):
        yield Written(where, request_id, (), fault="its annotations are not a list of annotations")
        return
    if not annotations:
        yield Written(where, request_id, (), note="the task has no annotation")
    for number, annotation in enumerate(annotations, start=1):
        place = where if len(annotations) == 1 else f"{where}, annotation {number}"
        yield _annotation(place, request_id, annotation)


def _as_results(task: Mapping[str, object]) -> list[object]:
    """The fields of JSON-MIN as the results of an annotation."""
    return [{"from_name": name, "value": value} for name, value in task.items()]


def _annotation(where: str, request_id: str, annotation: object) -> Written:
    if not isinstance(annotation, dict):
        return Written(where, request_id, (), fault=f"{str(annotation)[:80]!r} stands where an annotation was expected")
    author = _author(annotation.get("completed_by"))
    if annotation.get("was_cancelled"):
        return Written(where, request_id, (), author, note="the task was skipped")
    match annotation.get("reviews"):
        case [*_, {"accepted": False}]:
            return Written(where, request_id, (), author, note="a reviewer has rejected it")
    try:
        return Written(where, request_id, _turns(_results(annotation)), author)
    except _NotTextError as error:
        return Written(where, request_id, (), author, fault=str(error))


def _results(annotation: Mapping[str, object]) -> dict[str, str]:
    """What stands in the fields of an annotation."""
    results = annotation.get("result", [])
    if not isinstance(results, list):
        raise _NotTextError("the result of an annotation is not a list")
    parts: dict[str, list[str]] = {}
    for result in results:
        name = result.get("from_name") if isinstance(result, dict) else None
        if isinstance(name, str) and turn_of_field(name):
            parts.setdefault(name, []).append(_joined(result.get("value")))
    return {name: "\n".join(texts).strip() for name, texts in parts.items()}


class _NotTextError(ValueError):
    """Something else stands where Label Studio writes a text."""


def _joined(value: object) -> str:
    """The text of a field: Label Studio writes a text, a list of texts, `{"text": ...}` or a list of these."""
    match value:
        case None:
            return ""
        case str():
            return _clean(value)
        case list():
            return "\n".join(_joined(part) for part in value).strip()
        case {"text": text}:
            return _joined(text)
    raise _NotTextError(f"{str(value)[:80]!r} stands where a text was expected")


def _turns(texts: Mapping[str, str]) -> tuple[Turn, ...]:
    """The turns of fields such as `question_1`, in order; a turn without any text is left out."""
    pairs: dict[int, dict[str, str]] = {}
    for name, text in texts.items():
        field = turn_of_field(name)
        assert field is not None
        if text:
            pairs.setdefault(field[1], {})[field[0]] = text
    return tuple(Turn(pairs[one].get("question", ""), pairs[one].get("response", "")) for one in sorted(pairs))


def _author(value: object) -> str:
    """Who wrote: Label Studio gives a number, or a person with email and names."""
    if isinstance(value, dict):
        full_name = " ".join(str(value[key]) for key in ("first_name", "last_name") if value.get(key))
        value = value.get("email") or full_name or value.get("id")
    if value is None or isinstance(value, list | dict):
        return ""
    return "".join(letter for letter in str(value).strip() if letter.isprintable())[:_LONGEST_AUTHOR]


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
