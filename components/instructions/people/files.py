"""What the files are called that people get and give back, and what their fields are called.

A cell of a table that begins like a formula is run by the spreadsheet that opens the table. Such a cell is written with
an apostrophe before it, which spreadsheets take for "this is text", and read without it.
"""

import re

LABEL_STUDIO_FILE = "label_studio.json"
CONFIG_FILE = "labeling_config.xml"
TABLE_FILE = "instructions.csv"
README_FILE = "README.txt"
IMAGES_FOLDER = "images"

_FIELD = re.compile(r"^(question|response)_([1-9][0-9]{0,3})$")
# The characters that begin a formula, their full-width forms, and the blanks that some spreadsheets skip before them.
_LIKE_FORMULA = re.compile(r"^(?:[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r\n])")


def question_field(turn: int) -> str:
    """Name of the field with the question of a turn, from 1."""
    return f"question_{turn}"


def response_field(turn: int) -> str:
    """Name of the field with the response of a turn, from 1."""
    return f"response_{turn}"


def turn_of_field(name: str) -> tuple[str, int] | None:
    """What a field holds: `question` or `response`, and the turn; None for any other field."""
    found = _FIELD.match(name)
    return (found[1], int(found[2])) if found else None


def guarded_cell(text: str) -> str:
    """A text as a cell that no spreadsheet runs."""
    return f"'{text}" if _LIKE_FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """The text that `guarded_cell` was given, also when a spreadsheet took the apostrophe away."""
    return cell[1:] if cell.startswith("'") and _LIKE_FORMULA.match(cell[1:]) else cell
