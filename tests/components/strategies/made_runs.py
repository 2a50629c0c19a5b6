"""Runs that left some tables, and requests for a plan as `presel plan` makes them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.instructions.spending.estimate import UnitCost
from components.parameters.reading import merge_overlays, parse_parameters
from components.plan.request import PlanRequest
from components.schemas import DROPPED, QUARANTINE, SAMPLES, SELECTION
from components.storage import write_table
from components.strategies.run_files import RunFiles

PARAMETERS = Path(__file__).parents[3] / "params.yaml"


def pool(sizes: dict[str, int]) -> pa.Table:
    """A pool of so many samples per task."""
    rows = [
        {
            "sample_id": f"{task}/{number:04}",
            "task": task,
            "image_sha": f"{task}{number}",
            "uri": "x.png",
            "source": "pool.json",
            "record_ids": [str(number)],
            "near_duplicate_of": "",
        }
        for task, size in sizes.items()
        for number in range(size)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def run_files(root: Path, *settings: str, tables: dict[str, pa.Table] | None = None) -> RunFiles:
    """The folder of a run with the tables that it left, by their names under `data`."""
    for name, table in (tables or {}).items():
        file = root / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_table(file, table)
    return RunFiles(
        lambda name: root / "data" / name,
        parse_parameters(merge_overlays(PARAMETERS, settings=settings), origin="test"),
    )


def make_request(
    run: RunFiles,
    samples: pa.Table,
    *,
    price: float = 0.02,
    bought: Iterable[str] = (),
    missing: Iterable[str] = (),
    project: RunFiles | None = None,
    **more: Any,
) -> PlanRequest:
    """A request where every instruction costs the same."""
    return PlanRequest(
        run=run,
        project=project or run,
        samples=samples,
        unit_costs=dict.fromkeys(samples["task"].to_pylist(), UnitCost(0.0, 0.0, price)),
        find_bought=lambda: frozenset(bought),
        find_missing=lambda: frozenset(missing),
        **{"spend_at_most_usd": None, **more},
    )


def sample_id(name: str) -> str:
    """Of one of the samples a, b, c and d that `selected_tables` makes."""
    return f"color/{name * 20}"


def selection_row(name: str, *, reason: str = "picked: so", copies: int = 1, **more: object) -> dict[str, object]:
    """A row of SELECTION for one of them."""
    row = {"cluster": -1, "is_reference": False, "score": 0.5, "rank": 1, "quota": 2, **more}
    own = {"sample_id": sample_id(name), "task": "color", "image_sha": name * 64}
    return {**own, **row, "picked": copies > 0, "copies": copies, "reason": reason}


def selected_tables(*rows: dict[str, object], dropped_by: str = "instructions/pool") -> dict[str, pa.Table]:
    """What a run leaves that selected among a, b and c, and dropped d before."""
    samples = [
        {"sample_id": sample_id(n), "task": "color", "image_sha": n * 64, "uri": f"{n}.png", "record_ids": [f"rec-{n}"],
         "source": "pool.json", "near_duplicate_of": ""}
        for n in "abcd"
    ]  # fmt: skip
    dropped = [{"sample_id": sample_id("d"), "reason": "truncated", "detail": "longer than the context"}]
    quarantine = [{"source": "p", "record_id": "bad", "image": "x.png", "reason": "corrupt", "detail": "ends early"}]
    return {
        "manifest/samples.parquet": pa.Table.from_pylist(samples, schema=SAMPLES),
        "manifest/quarantine.parquet": pa.Table.from_pylist(quarantine, schema=QUARANTINE),
        "selection/selection.parquet": pa.Table.from_pylist(list(rows), schema=SELECTION),
        f"{dropped_by}/dropped.parquet": pa.Table.from_pylist(dropped, schema=DROPPED),
    }
