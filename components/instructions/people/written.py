"""Reads what people have written: an export of Label Studio (JSON, JSON-MIN) or the table."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import UserError
from components.instructions.people.files import TABLE_FILE, text_of_cell, turn_of_field
from components.pool.samples import Turn

_DELIMITERS = (",", ";", "\t")  # spreadsheets save "CSV" with what their language uses
_LONGEST_AUTHOR = 200


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
    """

    where: str
    request_id: str
    turns: tuple[Turn, ...]
    author: str = ""
    note: str = ""


def read_written(file: Path) -> tuple[Written, ...]:
    """Read a file that people give back.

    Args:
        file: Label Studio's export as JSON or JSON-MIN, or the CSV table.

    Returns:
        One entry per annotation (one for a task without any) or row, in the file's order.

    Raises:
        WrittenFileError: it is none of these, or damaged.
    """
    text = _text(file)
    if text.lstrip()[:1] in ("[", "{"):
        return tuple(_from_label_studio(text, file))
    return tuple(_from_table(text, file))


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WrittenFileError(f"{file} cannot be read: {error.strerror}") from None
    if data.startswith(b"PK"):
        raise WrittenFileError(f"{file} is a spreadsheet's own format; save it as CSV UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrittenFileError(f"{file} is not UTF-8; save it as CSV UTF-8, or export it from Label Studio") from None


def _neither(file: Path, why: str) -> WrittenFileError:
    return WrittenFileError(
        f"{file} is neither an export of Label Studio (JSON or JSON-MIN) nor a table like {TABLE_FILE}: {why}"
    )


def _from_table(text: str, file: Path) -> Iterator[Written]:
    # Lines end in LF, CR LF, or, from a Mac's spreadsheet, CR; in a cell all three are one.
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    rows = csv.reader(io.StringIO(lines, newline=""), strict=True)
    try:
        first = lines.split("\n", 1)[0]
        delimiter = next((one for one in _DELIMITERS if "request_id" in _header(first, one)), None)
        if delimiter is None:
            raise _neither(file, "its first row names no column request_id")
        names: list[str] = []
        rows = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
        for number, row in enumerate(rows, start=1):
            if number == 1:
                names = [name.strip() for name in row]
                if not any(turn_of_field(name) for name in names):
                    raise _neither(file, "it has no columns question_1, response_1, ...")
            elif any(cell.strip() for cell in row):
                yield _row(row, names, number, file)
    except csv.Error as error:
        raise WrittenFileError(f"{file}, line {rows.line_num}: {error}; save it as CSV again") from None


def _header(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]


def _row(row: Sequence[str], names: Sequence[str], number: int, file: Path) -> Written:
    if any(cell.strip() for cell in row[len(names) :]):
        raise WrittenFileError(
            f"{file}, row {number} has {len(row)} cells for {len(names)} columns: a text with a comma must be quoted, "
            "as spreadsheets do when they save CSV"
        )
    cells = {name: text_of_cell(cell) for name, cell in zip(names, row, strict=False)}
    texts = {name: _clean(cell) for name, cell in cells.items() if turn_of_field(name)}
    author = cells.get("annotator", "")
    return Written(f"row {number}", cells.get("request_id", "").strip(), _turns(texts), _author(author))


def _from_label_studio(text: str, file: Path) -> Iterator[Written]:
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrittenFileError(f"{file} is not JSON: {error}") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise _neither(file, "it is not a list of tasks")
    if tasks and not any("request_id" in _data(task) for task in tasks):
        raise _neither(file, "not one of its tasks has a request_id")
    for number, task in enumerate(tasks, start=1):
        try:
            yield from _task(task, f"task {number}")
        except _NotTextError as error:
            raise WrittenFileError(f"{file}, task {number}: {error}") from None


def _data(task: Mapping[str, object]) -> Mapping[str, object]:
    """The task as it was imported; JSON-MIN puts the annotation beside it."""
    data = task.get("data")
    return data if isinstance(data, dict) else task


def _task(task: Mapping[str, object], where: str) -> Iterator[Written]:
    request_id = str(_data(task).get("request_id", "")).strip()
    if "data" not in task:
        texts = {name: _joined(value) for name, value in task.items() if turn_of_field(name)}
        yield Written(where, request_id, _turns(texts), _author(task.get("annotator")))
        return
    annotations = task.get("annotations", [])
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        raise _NotTextError("its annotations are not a list of annotations")
    if not annotations:
        yield Written(where, request_id, (), note="the task has no annotation")
    for number, annotation in enumerate(annotations, start=1):
        place = where if len(annotations) == 1 else f"{where}, annotation {number}"
        author = _author(annotation.get("completed_by"))
        if annotation.get("was_cancelled"):
            yield Written(place, request_id, (), author, note="the task was skipped")
        else:
            yield Written(place, request_id, _turns(_results(annotation)), author)


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
