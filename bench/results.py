"""What a benchmark prints and writes."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from components.lineage.machine import installed_version
from components.storage import write_json

Row = dict[str, str | int | float]

FAISS = ("faiss-cpu", "faiss-gpu")  # one of them is installed


def out_option(parser: argparse.ArgumentParser) -> None:
    """Add `--out PATH`, the JSON file that the rows are also written to."""
    parser.add_argument("--out", type=Path, help="JSON file to write the rows to")


def publish(rows: Sequence[Row], *, packages: Sequence[str], out: Path | None) -> None:
    """Print the rows as a table and, if asked, write them with the versions and the machine as JSON.

    Args:
        rows: with the same keys each.
        packages: distributions whose versions matter; those that are not installed are left out.
        out: JSON file, or nothing to write.
    """
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        padded = [
            text.ljust(width) if not column else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    if out is None:
        return
    document = {
        "machine": {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0))},
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {name: found for name in packages if (found := installed_version(name)) is not None},
        "rows": list(rows),
    }
    write_json(out, document)


def _text(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
