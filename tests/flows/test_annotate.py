"""People write the instructions: hand out, bring back, run on, as the command line does it."""

import csv
import json
from pathlib import Path

import pytest

from components.schemas import INSTRUCTIONS
from components.storage import read_table
from tests.flows.command import presel

pytestmark = [pytest.mark.slow(20), pytest.mark.soak]
RUN = ("run", "--provider", "people", "--name", "people")


def hand_out(root: Path, folder: str) -> list[dict[str, str]]:
    """Export what is to be written, and return the rows of the table."""
    done = presel(root, "annotate", "export", folder, "--name", "people")
    assert done.code == 0, done.stderr
    with (root / folder / "instructions.csv").open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def write_back(root: Path, file: str, rows: list[dict[str, str]], *, code: int = 0) -> str:
    """Write the table as a spreadsheet on a Mac does, import it, and return what was said."""
    with (root / file).open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, rows[0].keys(), lineterminator="\r")
        writer.writeheader()
        writer.writerows(rows)
    done = presel(root, "annotate", "import", file, "--name", "people")
    assert done.code == code, done.output
    return done.output


def test_people_write_the_reference_set(project: Path) -> None:
    root = project
    refused = presel(root, "annotate", "export", "out")
    assert refused.code == 2
    assert "asks provider existing, not people" in refused.stderr

    stopped = presel(root, *RUN)
    assert stopped.code == 1
    assert "presel annotate export" in stopped.stderr, "the message says what to do"
    rows = hand_out(root, "out")
    tasks = json.loads((root / "out" / "label_studio.json").read_text(encoding="utf-8"))
    assert len(tasks) == len(rows) == 12
    assert all((root / task["data"]["image"].rpartition("=")[2]).is_file() for task in tasks)
    again = presel(root, "annotate", "export", "again", "--name", "people")
    assert "12 are out already" in again.stdout
    assert not (root / "again").exists()

    for row in rows:
        row.update({"question_1": "What does it show?", "response_1": "It shows one shape on a pale ground."})
    rows[0]["response_1"] = ""
    said = write_back(root, "first.csv", rows, code=1)
    assert "11 instructions booked at $0.22; 1 are still out" in said
    rows[0]["response_1"] = "#NAME?"
    said = write_back(root, "first.csv", rows, code=1)
    assert "first.csv, row 2: spreadsheet_error: turn 1 is '#NAME?'" in said
    assert "1 entries of first.csv were not taken in" in said
    rows[0]["response_1"] = "It shows a single shape."
    assert "1 instructions booked at $0.02; 0 are still out" in write_back(root, "second.csv", rows), "others are known"

    stopped = presel(root, *RUN)
    assert stopped.code == 1
    assert "presel annotate export" in stopped.stderr, "now for the selection"
    bought = read_table(root / "runs/people/data/instructions/reference/instructions.parquet", INSTRUCTIONS)
    responses = [turn["response"] for row in bought.to_pylist() for turn in row["turns"]]
    assert sorted(responses) == ["It shows a single shape."] + ["It shows one shape on a pale ground."] * 11
